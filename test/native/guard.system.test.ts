import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GUARD_BYTES, GuardBitmap, otherIndex } from '../../src/nat/port-guard.js';
import { check } from '../../src/native/system-error.js';
import { addClsact, listClassifiers, setClassifier } from '../../src/netlink/tc.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { describeSystem } from '../helpers/requirements.js';
import {
  arpReply,
  BOTH,
  errorBody,
  framed,
  GATEWAY,
  GuardLab,
  HOST,
  HOST_OTHER,
  HOST_SECOND,
  ip,
  PEER,
  queryBody,
  STACK,
  tcpBody,
  udpBody,
} from './guard-lab.js';
import { binding } from './lab.js';

const { EBADF, EINVAL, ENODEV } = constants.errno;
const [ICMP, TCP, UDP, GRE] = [1, 6, 17, 47];
const OURS = 40_000;
const THEIRS = 40_001;
const ECHO_REPLY = 0;

describeSystem('the guard keeps the frames of the gateway and of the host apart', ['root', 'bpf'], () => {
  let lab: GuardLab;
  let guard: number;
  let bits: GuardBitmap;
  let opened: number[];

  beforeEach(() => {
    lab = new GuardLab();
    guard = check(binding.openGuard(), 'openGuard', '');
    bits = new GuardBitmap(binding.mapGuard(guard) as ArrayBuffer);
    bits.setAddresses([parseIpv4(HOST), parseIpv4(HOST_SECOND)]);
    check(binding.filterPacket(lab.socket, guard), 'filterPacket', '');
    opened = [guard];
  });

  afterEach(() => {
    for (const each of opened) binding.closeDescriptor(each);
    lab.close();
  });

  const tcx = (): number => {
    const link = check(binding.attachGuard(guard, lab.index, lab.host.netns), 'attachGuard', '');
    opened.push(link);
    return link;
  };
  const clsact = (): void => {
    addClsact(lab.host.netlink, lab.index);
    const descriptor = check(binding.guardProgram(guard), 'guardProgram', '');
    setClassifier(lab.host.netlink, lab.index, { priority: 1, handle: 1, program: { descriptor, name: 'tapbridge' } });
    binding.closeDescriptor(descriptor);
  };
  const mark = (protocol: number, port: number, address = HOST): void => bits.mark(parseIpv4(address), protocol, port);
  const offer = (protocol: number, body: Uint8Array, more: Partial<Parameters<typeof ip>[0]> = {}) =>
    lab.offer(framed(ip({ protocol, body, ...more })));
  /** An error from a router about a packet the host, or the gateway, sent to the peer. */
  const complain = (
    type: number,
    protocol: number,
    body: Uint8Array,
    quoted: Partial<Parameters<typeof ip>[0]> = {},
    outer = {},
  ) =>
    offer(ICMP, errorBody(type, ip({ protocol, body, source: HOST, destination: PEER, ...quoted })), {
      source: '192.0.2.3',
      ...outer,
    });

  describe.each([
    ['a tcx link', tcx],
    ['a classifier in clsact', clsact],
  ])('N60 by %s', (_, attach) => {
    beforeEach(() => void attach());

    test.each([
      ['TCP', TCP, tcpBody, 'rst'],
      ['UDP', UDP, udpBody, 'icmp 3/3'],
    ] as const)(
      '%s: a marked port is the gateway’s, and the stack says nothing; others are the stack’s',
      (_name, protocol, body, answer) => {
        mark(protocol, OURS);
        expect(offer(protocol, body(80, OURS))).toEqual(GATEWAY);
        expect(offer(protocol, body(80, THEIRS))).toEqual({ ...STACK, answers: [answer] });
        // The source port is nothing to go by.
        expect(offer(protocol, body(OURS, THEIRS))).toEqual({ ...STACK, answers: [answer] });
        expect(offer(protocol, body(80, OURS), { options: 40 })).toEqual(GATEWAY);
      },
    );

    test('the classes and the bits of a byte are apart', () => {
      mark(TCP, OURS);
      expect(offer(UDP, udpBody(80, OURS)).gateway).toBe(false);
      for (const port of [0, 1, 7, 8, 255, 256, 32_767, 32_768, 65_534, 65_535]) {
        mark(UDP, port);
        expect(offer(UDP, udpBody(80, port))).toEqual(GATEWAY);
        expect(offer(UDP, udpBody(80, port ^ 1)).gateway).toBe(port === 1 || port === 65_535);
        bits.unmark(parseIpv4(HOST), UDP, port ^ 1);
      }
    });

    test('each address has bitmaps of its own; an address the guard was not told of is the stack’s', () => {
      mark(UDP, OURS, HOST_SECOND);
      expect(offer(UDP, udpBody(80, OURS), { destination: HOST_SECOND })).toEqual(GATEWAY);
      expect(offer(UDP, udpBody(80, OURS)).gateway).toBe(false);
      mark(UDP, OURS);
      expect(offer(UDP, udpBody(80, OURS), { destination: HOST_OTHER })).toMatchObject({ gateway: false, stack: true });
      // An empty slot holds 0.0.0.0, which is no address.
      bits.setAddresses([parseIpv4(HOST_SECOND)]);
      const memory = new Uint8Array(binding.mapGuard(guard) as ArrayBuffer);
      memory[2 * 8192 + (OURS >> 3)] |= 1 << (OURS & 7);
      expect(offer(UDP, udpBody(80, OURS), { destination: '0.0.0.0' }).gateway).toBe(false);
      expect(offer(UDP, udpBody(80, OURS)).stack).toBe(true);
    });

    test('all sixteen slots are asked', () => {
      const addresses = Array.from({ length: 15 }, (_x, i) => parseIpv4(`198.51.100.${i + 1}`));
      bits.setAddresses([...addresses, parseIpv4(HOST)]);
      expect(bits.slotOf(parseIpv4(HOST))).toBe(0);
      bits.setAddresses(addresses);
      bits.setAddresses([...addresses, parseIpv4('198.51.100.99')]);
      bits.setAddresses([]);
      bits.setAddresses([...addresses, parseIpv4(HOST)]);
      expect(bits.slotOf(parseIpv4(HOST))).toBe(15);
      mark(TCP, OURS);
      expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
      expect(offer(TCP, tcpBody(80, THEIRS)).answers).toEqual(['rst']);
    });

    test('a bit takes effect with the next frame', () => {
      for (let turn = 0; turn < 3; turn++) {
        mark(TCP, OURS);
        expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
        bits.unmark(parseIpv4(HOST), TCP, OURS);
        expect(offer(TCP, tcpBody(80, OURS)).answers).toEqual(['rst']);
      }
    });

    test('ICMP: answers go by their identifier, to the stack besides; requests are the stack’s', () => {
      mark(ICMP, OURS);
      for (const type of [ECHO_REPLY, 14, 16, 18]) {
        expect(offer(ICMP, queryBody(type, OURS))).toEqual(BOTH);
        expect(offer(ICMP, queryBody(type, THEIRS))).toEqual(STACK);
      }
      expect(offer(ICMP, queryBody(8, OURS))).toEqual({ ...STACK, answers: ['icmp 0/0'] });
    });

    test.each([
      ['TCP', TCP, tcpBody(OURS, 80), tcpBody(THEIRS, 80), GATEWAY],
      ['UDP', UDP, udpBody(OURS, 80), udpBody(THEIRS, 80), GATEWAY],
      ['an echo', ICMP, queryBody(8, OURS), queryBody(8, THEIRS), BOTH],
    ])('ICMP errors that quote %s go by its source port or identifier', (_name, protocol, ours, theirs, expected) => {
      mark(protocol, OURS);
      for (const type of [3, 4, 5, 11, 12]) {
        expect(complain(type, protocol, ours)).toEqual(expected);
        expect(complain(type, protocol, ours, { options: 24 }, { options: 12 })).toEqual(expected);
        expect(complain(type, protocol, ours.subarray(0, 8))).toEqual(expected);
        expect(complain(type, protocol, theirs)).toEqual(STACK);
      }
    });

    test('ICMP errors about what left from elsewhere, or without a port, are the stack’s', () => {
      mark(UDP, OURS);
      mark(ICMP, OURS);
      const body = udpBody(OURS, 80);
      expect(complain(3, UDP, body, { source: HOST_SECOND })).toEqual(STACK);
      expect(complain(3, UDP, body, { fragment: { offset: 8 } })).toEqual(STACK);
      expect(complain(3, UDP, body.subarray(0, 7))).toEqual(STACK);
      expect(complain(3, UDP, udpBody(80, OURS))).toEqual(STACK);
      // No answer can be the cause of an error about what left here, and no error of an error.
      expect(complain(3, ICMP, queryBody(ECHO_REPLY, OURS))).toEqual(STACK);
      expect(complain(3, ICMP, errorBody(3, ip({ protocol: UDP, body, source: HOST })))).toEqual(STACK);
      expect(complain(9, UDP, body)).toEqual(STACK);
    });

    test('a quoted header that is none', () => {
      mark(UDP, OURS);
      for (const first of [0x44, 0x55, 0x00, 0xff]) {
        const quoted = ip({ protocol: UDP, body: udpBody(OURS, 80), source: HOST, destination: PEER });
        quoted[0] = first;
        expect(offer(ICMP, errorBody(3, quoted))).toEqual(STACK);
      }
    });

    test('other protocols go by a hash of protocol and remote address', () => {
      const remote = parseIpv4(PEER);
      bits.mark(parseIpv4(HOST), GRE, otherIndex(GRE, remote));
      const body = new Uint8Array(24).fill(0xa5);
      expect(offer(GRE, body)).toEqual(GATEWAY);
      expect(offer(GRE, body, { source: '192.0.2.3' }).gateway).toBe(false);
      expect(offer(50, body).stack).toBe(true);
      expect(complain(3, GRE, body)).toEqual(GATEWAY);
      expect(complain(3, GRE, body, { destination: '192.0.2.3' })).toEqual(STACK);
    });

    test('first fragments go by their port, the ones behind to both', () => {
      mark(UDP, OURS);
      const body = udpBody(80, OURS, 1000);
      expect(offer(UDP, body, { fragment: { more: true } })).toEqual(GATEWAY);
      expect(offer(UDP, body, { fragment: { offset: 1000, more: true } })).toEqual(BOTH);
      expect(offer(UDP, body, { fragment: { offset: 2000 } })).toEqual(BOTH);
      expect(offer(UDP, udpBody(80, THEIRS, 1000), { fragment: { more: true }, identification: 8 })).toEqual(STACK);
      expect(offer(UDP, body, { fragment: { offset: 1000 }, destination: HOST_OTHER })).toEqual(STACK);
    });

    test('N61: frames with a VLAN tag, for another machine or for all are not ours', () => {
      mark(UDP, OURS);
      const packet = ip({ protocol: UDP, body: udpBody(80, OURS) });
      expect(lab.offer(framed(packet, 'host', 5))).toEqual({ gateway: false, stack: false, answers: [] });
      expect(lab.offer(framed(packet, 'stranger')).gateway).toBe(false);
      expect(lab.offer(framed(packet, 'all')).gateway).toBe(false);
    });

    test('ARP answers for this machine reach the gateway, those for another do not', () => {
      expect(lab.offer(arpReply('host')).gateway).toBe(true);
      expect(lab.offer(arpReply('stranger')).gateway).toBe(false);
    });

    test('frames that end early, or claim headers they do not have, are not ours', () => {
      mark(UDP, 0);
      mark(TCP, 0);
      const whole = framed(ip({ protocol: UDP, body: udpBody(80, 0) }));
      for (const length of [14, 15, 33, 34, 41]) expect(lab.offer(whole.slice(0, length)).gateway).toBe(false);
      expect(lab.offer(whole.slice(0, 42)).gateway).toBe(true);
      for (const first of [0x40, 0x44, 0x65, 0x4f]) {
        const bent = whole.slice();
        bent[14] = first;
        expect(lab.offer(bent).gateway).toBe(false);
      }
    });
  });

  test('a link ends with its descriptor, a classifier does not', () => {
    mark(TCP, OURS);
    const link = tcx();
    expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
    expect(binding.closeDescriptor(link)).toBe(0);
    // The socket still hears it, and the stack does too.
    expect(offer(TCP, tcpBody(80, OURS))).toEqual({ ...BOTH, answers: ['rst'] });
    clsact();
    binding.closeDescriptor(guard);
    expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
    expect(listClassifiers(lab.host.netlink, lab.index)).toMatchObject([{ name: 'tapbridge' }]);
  });

  test('several interfaces, several guards: each asks its own map', () => {
    tcx();
    const second = check(binding.openGuard(), 'openGuard', '');
    opened.push(second, check(binding.attachGuard(second, lab.index, lab.host.netns), 'attachGuard', ''));
    const others = new GuardBitmap(binding.mapGuard(second) as ArrayBuffer);
    others.setAddresses([parseIpv4(HOST)]);
    others.mark(parseIpv4(HOST), TCP, THEIRS);
    mark(TCP, OURS);
    expect(offer(TCP, tcpBody(80, THEIRS))).toEqual({ gateway: false, stack: false, answers: [] });
    expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
    expect(offer(TCP, tcpBody(80, 1)).answers).toEqual(['rst']);
  });

  test('the mapping has the layout’s size, is shared, and outlives the descriptor', () => {
    const [first, second] = [binding.mapGuard(guard), binding.mapGuard(guard)].map((each) => new Uint8Array(each as ArrayBuffer));
    expect(first!.length).toBe(GUARD_BYTES);
    first![GUARD_BYTES - 1] = 0x5a;
    expect(second![GUARD_BYTES - 1]).toBe(0x5a);
    binding.closeDescriptor(guard);
    second![GUARD_BYTES - 1] = 0;
    expect(first![GUARD_BYTES - 1]).toBe(0);
  });

  test('what is no guard, no socket, no interface is refused', () => {
    const { host, index, socket } = lab;
    const call = binding as unknown as Record<string, (...values: unknown[]) => unknown>;
    for (const none of ['1', 1.5, NaN, null, undefined, {}, -2]) {
      expect(call['mapGuard']!(none)).toBe(-EINVAL);
      expect(call['guardProgram']!(none)).toBe(-EINVAL);
      expect(call['attachGuard']!(none, index, host.netns)).toBe(-EINVAL);
      expect(call['attachGuard']!(guard, none, host.netns)).toBe(-EINVAL);
      expect(call['attachGuard']!(guard, index, none)).toBe(-EINVAL);
      expect(call['filterPacket']!(none, guard)).toBe(-EINVAL);
      expect(call['filterPacket']!(socket, none)).toBe(-EINVAL);
      expect(call['filterPacketClassic']!(socket, none)).toBe(-EINVAL);
    }
    expect([binding.mapGuard(socket), binding.mapGuard(1_000_000)]).toEqual([-EINVAL, -EBADF]);
    expect([binding.filterPacket(guard, guard), binding.filterPacket(1_000_000, guard)]).toEqual([-EINVAL, -EBADF]);
    expect(binding.attachGuard(guard, 0, host.netns)).toBe(-EINVAL);
    expect(binding.attachGuard(guard, 999_999, host.netns)).toBe(-ENODEV);
    expect(binding.attachGuard(guard, index, socket)).toBe(-EINVAL);
    for (const bytes of [0, 7, 12, 4097 * 8]) expect(binding.filterPacketClassic(socket, new Uint8Array(bytes))).toBe(-EINVAL);
    expect(binding.filterPacketClassic(guard, new Uint8Array([6, 0, 0, 0, 0, 0, 0, 0]))).toBe(-EINVAL);
  });
});
