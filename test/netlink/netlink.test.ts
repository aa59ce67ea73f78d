import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { SystemError } from '../../src/native/system-error.js';
import { NlmFlag, Nlmsg, Rtm } from '../../src/netlink/constants.js';
import { MessageWriter, readMessages } from '../../src/netlink/message.js';
import { answerTo, isErrno, Netlink } from '../../src/netlink/netlink.js';
import * as recorded from './recorded.js';
import { recordedBinding } from './recorded-binding.js';

const { ENODEV, EMSGSIZE, ETIMEDOUT, EINTR } = constants.errno;
const request = () => new MessageWriter(Rtm.getLink, NlmFlag.request);
const caught = (call: () => unknown): SystemError => {
  try {
    call();
  } catch (error) {
    return error as SystemError;
  }
  throw new Error('nothing was thrown');
};

/** A recorded dump with NLM_F_DUMP_INTR on its closing message, where the kernel puts it when the last part was the one that changed. */
function interrupted(dump: Uint8Array): Uint8Array {
  const bytes = dump.slice();
  const done = readMessages(bytes).at(-1);
  const flagsAt = (done?.payload.byteOffset ?? 0) - 16 + 6;
  new DataView(bytes.buffer).setUint16(flagsAt, NlmFlag.multi | NlmFlag.dumpInterrupted, true);
  return bytes;
}

/** A recorded refusal without the payload of the request, as a socket with NETLINK_CAP_ACK gets it (include/uapi/linux/netlink.h). */
function capped(refusal: Uint8Array): Uint8Array {
  const view = new DataView(refusal.buffer, refusal.byteOffset);
  const repeated = view.getUint32(20, true);
  const bytes = Uint8Array.from([...refusal.subarray(0, 36), ...refusal.subarray(20 + repeated)]);
  const header = new DataView(bytes.buffer);
  header.setUint32(0, bytes.length, true);
  header.setUint16(6, NlmFlag.capped | NlmFlag.ackAttributes, true);
  return bytes;
}

describe('a request', () => {
  test('each has a sequence number of its own, and only answers to it count', () => {
    const { binding, sent } = recordedBinding([recorded.link, recorded.link]);
    const netlink = Netlink.open(binding);
    netlink.get(request(), 'ask', 'eth0');
    netlink.get(request(), 'ask', 'eth0');
    expect(sent.map((bytes) => readMessages(bytes)[0].sequence)).toEqual([1, 2]);
    expect(answerTo(recorded.SEQUENCE, recorded.link, 'ask', 'eth0').messages).toHaveLength(1);
    expect(answerTo(recorded.SEQUENCE + 1, recorded.link, 'ask', 'eth0').messages).toHaveLength(0);
  });

  test('an acknowledgement is success', () => {
    const { binding } = recordedBinding([recorded.acknowledged]);
    expect(() => Netlink.open(binding).change(request(), 'change', 'eth0')).not.toThrow();
  });

  test('a refusal is an error with the number, the device and a sentence', () => {
    const { binding } = recordedBinding([recorded.noSuchLink]);
    const error = caught(() => Netlink.open(binding).get(request(), 'look up interface nope', 'nope'));
    expect(error).toBeInstanceOf(SystemError);
    expect(error).toMatchObject({ code: 'ENODEV', errno: ENODEV, device: 'nope' });
    expect(error.message).toContain('cannot look up interface nope: there is no such interface');
    expect(isErrno(error, ENODEV)).toBe(true);
    expect(isErrno(new Error('ENODEV'), ENODEV)).toBe(false);
  });

  test("the kernel's own sentence comes first, behind the repeated request and behind a capped one", () => {
    const unknown = caught(() => answerTo(recorded.SEQUENCE, recorded.unknownKind, 'create x0', 'x0'));
    expect(unknown.message).toMatch(/^cannot create x0: Unknown device type; this kernel does not support it/);
    const gateway = caught(() => answerTo(recorded.SEQUENCE, recorded.badGateway, 'add a route', 'eth0'));
    expect(caught(() => answerTo(recorded.SEQUENCE, capped(recorded.unknownKind), 'create x0', 'x0')).message).toBe(
      unknown.message,
    );
    expect(gateway.message).toMatch(/^cannot add a route: Nexthop has invalid gateway; the network is unreachable/);
  });

  test('an errno that means "none" is no error for find, any other is', () => {
    const { binding } = recordedBinding([recorded.noSuchLink, recorded.noSuchLink]);
    const netlink = Netlink.open(binding);
    expect(netlink.find(request(), 'ask', 'nope', [ENODEV])).toBeUndefined();
    expect(caught(() => netlink.find(request(), 'ask', 'nope', [EINTR])).code).toBe('ENODEV');
  });

  test('no answer in time', () => {
    const { binding } = recordedBinding([-ETIMEDOUT]);
    expect(caught(() => Netlink.open(binding).change(request(), 'change', 'eth0')).message).toContain('did not answer in time');
  });

  test('close gives the descriptor back once', () => {
    const { binding, closed } = recordedBinding([]);
    const netlink = Netlink.open(binding);
    netlink.close();
    netlink.close();
    expect(closed).toEqual([5]);
  });
});

describe('a dump', () => {
  test('ends with NLMSG_DONE, which is not handed on', () => {
    const { binding } = recordedBinding([recorded.neighbors]);
    const messages = Netlink.open(binding).dump(request(), 'list');
    expect(messages.map(({ type }) => type)).toEqual([Rtm.newNeighbor, Rtm.newNeighbor]);
    expect(messages.some(({ type }) => type === Nlmsg.done)).toBe(false);
  });

  test('too long for the buffer: asked again with a longer one, up to 64 MiB', () => {
    const long = new Uint8Array(100_000);
    for (let at = 0; at < long.length; at += 50_000) long.set([0x50, 0xc3, 0, 0, Rtm.newLink], at);
    const { binding, offered } = recordedBinding([long]);
    expect(Netlink.open(binding).dump(request(), 'list')).toHaveLength(2);
    expect(offered).toEqual([64 * 1024, 256 * 1024]);

    const endless = recordedBinding(new Array(9).fill(-EMSGSIZE));
    expect(caught(() => Netlink.open(endless.binding).dump(request(), 'list')).code).toBe('EMSGSIZE');
    expect(endless.offered.at(-1)).toBe(64 * 1024 * 1024);
  });

  test('interrupted by a change: repeated', () => {
    const { binding, sent } = recordedBinding([interrupted(recorded.neighbors), recorded.neighbors]);
    expect(Netlink.open(binding).dump(request(), 'list')).toHaveLength(2);
    expect(sent).toHaveLength(2);
  });

  test('interrupted again and again: an error, not an endless loop', () => {
    const { binding } = recordedBinding(new Array(20).fill(interrupted(recorded.neighbors)));
    expect(caught(() => Netlink.open(binding).dump(request(), 'list the neighbors')).message).toContain('kept changing');
  });
});
