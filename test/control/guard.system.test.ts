import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClassicPlace, type ClassicRange, classicGuard } from '../../src/control/classic-guard.js';
import { type GuardParts, type GuardSetting, UplinkGuard } from '../../src/control/guard.js';
import { CLASSIFIER_HANDLE, HostChanges } from '../../src/control/host-changes.js';
import type { Log } from '../../src/control/log.js';
import { GuardBitmap } from '../../src/nat/port-guard.js';
import type { Binding } from '../../src/native/binding.js';
import { addClsact, ingressQueue, listClassifiers, setClassifier } from '../../src/netlink/tc.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { describeSystem } from '../helpers/requirements.js';
import {
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
} from '../native/guard-lab.js';
import { binding, inside } from '../native/lab.js';

const { EINVAL, ENOSYS, EPERM } = constants.errno;
const [ICMP, TCP, UDP, GRE] = [1, 6, 17, 47];
const OURS = 40_000;
const THEIRS = 20_000;

describeSystem('the guard of an uplink, by what the kernel offers', ['root'], () => {
  let lab: GuardLab;
  let changes: HostChanges;
  let said: string[];
  let recorded: string[];

  beforeEach(() => {
    lab = new GuardLab();
    said = [];
    recorded = [];
    const say = (_fields: object, message: string): void => void said.push(message);
    const log: Log = { debug: say, info: say, warn: say, error: say };
    changes = new HostChanges(lab.host.netlink, log, 'a1b2c3d4');
    parts = {
      binding,
      netlink: lab.host.netlink,
      changes,
      log,
      lasting: false,
      record: () => void recorded.push(JSON.stringify(changes.list)),
    };
  });

  let parts: GuardParts;
  afterEach(() => lab.close());

  const open = (setting: GuardSetting, refusing: Partial<Binding> = {}): UplinkGuard =>
    UplinkGuard.open({ ...parts, binding: { ...binding, ...refusing } }, setting);
  const attach = (guard: UplinkGuard) => inside(lab.host.netns, () => guard.attach('veth0', [lab.socket]));
  const offer = (protocol: number, body: Uint8Array, more: Partial<Parameters<typeof ip>[0]> = {}) =>
    lab.offer(framed(ip({ protocol, body, ...more })));
  const classifiers = () => listClassifiers(lab.host.netlink, lab.index);
  const queue = () => ingressQueue(lab.host.netlink, lab.index);
  const markIn = (guard: UplinkGuard): void => {
    const bits = new GuardBitmap(binding.mapGuard(guard.map) as ArrayBuffer);
    bits.setAddresses([parseIpv4(HOST)]);
    bits.mark(parseIpv4(HOST), TCP, OURS);
  };

  const crash = (kind: 'ebpf-tc' | 'classic'): void => {
    const guard = kind === 'classic' ? open('classic') : open('ebpf', { attachGuard: () => -EINVAL });
    expect(attach(guard)).toBe(kind);
    const left = JSON.parse(recorded.at(-1)!);
    const next = new HostChanges(lab.host.netlink, parts.log, 'a1b2c3d4');
    next.mend(left, new Set());
    next.disinherit();
    expect([classifiers(), queue()]).toEqual([[], '']);
    // Recorded, but not made yet when it crashed; or made, and removed by hand.
    next.mend(left, new Set());
    next.disinherit();
    expect(said.filter((each) => each.startsWith('cannot'))).toEqual([]);
    guard.close();
  };

  describeSystem('with eBPF', ['bpf'], () => {
    test('a classifier that no record has is taken over by the next daemon of the same state directory, and by no other', () => {
      const guard = open('ebpf', { attachGuard: () => -EINVAL });
      attach(guard);
      const other = new HostChanges(lab.host.netlink, parts.log, '00000000');
      other.mend([], new Set());
      other.disinherit();
      expect(classifiers()).toHaveLength(1);
      const next = new HostChanges(lab.host.netlink, parts.log, 'a1b2c3d4');
      next.mend([], new Set());
      expect(next.inherits('veth0')).toBe(true);
      next.disinherit();
      expect([classifiers(), queue()]).toEqual([[], '']);
      guard.close();
    });

    test('tcx: nothing is recorded, because nothing can be left behind', () => {
      const guard = open('auto');
      expect(attach(guard)).toBe('ebpf');
      markIn(guard);
      expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
      expect([recorded, said, queue()]).toEqual([[], [], '']);
      // Again, as after the interface came back: not twice.
      expect(attach(guard)).toBe('ebpf');
      expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
      guard.close();
      expect(offer(TCP, tcpBody(80, OURS)).answers).toEqual(['rst']);
      expect(binding.mapGuard(guard.map)).toBeLessThan(0);
    });

    test('no tcx: a classifier, recorded before it is made and removed with its queue', () => {
      let before = 'unset';
      const record = parts.record;
      parts.record = () => {
        before = queue();
        record();
      };
      const guard = open('ebpf', { attachGuard: () => -EINVAL });
      expect(attach(guard)).toBe('ebpf-tc');
      expect([before, recorded]).toEqual(['', ['[{"kind":"classifier","interface":"veth0","priority":1,"clsact":true}]']]);
      expect(classifiers()).toEqual([{ priority: 1, handle: CLASSIFIER_HANDLE, kind: 'bpf', name: 'tapbridge:a1b2c3d4' }]);
      expect(said).toEqual(['no tcx link on veth0 (Linux 6.6): a classifier in clsact instead']);
      markIn(guard);
      expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
      guard.release('veth0');
      expect([queue(), changes.list, recorded.at(-1)]).toEqual(['', [], '[]']);
      expect(offer(TCP, tcpBody(80, OURS)).answers).toEqual(['rst']);
      guard.close();
    });

    test('after a crash the next start finds an eBPF classifier and removes it, and nothing else', () => crash('ebpf-tc'));

    test('an ingress that cannot be guarded is an error that says so, and nothing is left', () => {
      const guard = open('auto', { attachGuard: () => -EINVAL });
      parts.changes.classify = () => {
        throw new Error('the kernel has no clsact');
      };
      expect(() => attach(guard)).toThrow(/cannot keep translated traffic on veth0 .*own stack: the kernel has no clsact/);
      guard.close();
      expect(() => attach(open('auto', { filterPacket: () => -EPERM }))).toThrow(
        /filter of a socket of veth0 was refused \(EPERM\)/,
      );
      expect([queue(), changes.list]).toEqual(['', []]);
    });
  });

  test('after a crash the next start finds a classic classifier and removes it, and nothing else', () => crash('classic'));

  test('a queue and classifiers of others stay, and are asked behind ours', () => {
    const { netlink } = lab.host;
    addClsact(netlink, lab.index);
    const others = { priority: 1, handle: 3, program: { classic: new Uint8Array(new Uint32Array([6, 0xffffffff]).buffer) } };
    setClassifier(netlink, lab.index, others);
    const guard = open('auto', { attachGuard: () => -EINVAL });
    attach(guard);
    expect(classifiers().map(({ priority, handle }) => [priority, handle])).toEqual([
      [1, 3],
      [2, CLASSIFIER_HANDLE],
    ]);
    guard.close();
    expect(classifiers().map(({ handle }) => handle)).toEqual([3]);
    expect(queue()).toBe('clsact');
  });

  test('a classifier somebody put into our queue keeps it', () => {
    const guard = open('auto', { attachGuard: () => -EINVAL });
    attach(guard);
    const classic = new Uint8Array(new Uint32Array([6, 0xffffffff]).buffer);
    setClassifier(lab.host.netlink, lab.index, { priority: 9, handle: 3, program: { classic } });
    guard.close();
    expect(classifiers().map(({ handle }) => handle)).toEqual([3]);
  });

  test.each([
    ['maps', { openGuard: () => -EPERM }, /refuses eBPF .*EPERM: it needs CAP_BPF/],
    ['the call', { openGuard: () => -ENOSYS }, /ENOSYS: a kernel without bpf/],
    ['programs', { guardProgram: () => -EPERM }, /refuses eBPF .*EPERM/],
  ])('%s refused: auto says in one line what it uses instead, ebpf is an error', (_, refusing, reason) => {
    const guard = open('auto', refusing);
    expect(guard.map).toBe(-1);
    expect(said).toEqual([expect.stringMatching(reason)]);
    expect(said[0]).toMatch(/classic classifier.*"guard: classic" chooses it/);
    expect(attach(guard)).toBe('classic');
    guard.close();
    expect(() => open('ebpf', refusing)).toThrow(reason);
  });

  describe('classic', () => {
    let guard: UplinkGuard;
    const both = [parseIpv4(HOST), parseIpv4(HOST_SECOND)];
    const range = (protocol: number, first: number, last: number, address = 0): ClassicRange => ({
      protocol,
      address,
      first,
      last,
    });

    beforeEach(() => {
      guard = open('classic');
      expect(attach(guard)).toBe('classic');
      guard.setRules({
        addresses: both,
        ranges: [
          range(TCP, 30_000, 65_535),
          range(TCP, 8080, 8080, parseIpv4(HOST_SECOND)),
          range(UDP, 30_000, 65_535),
          range(ICMP, 30_000, 65_535),
        ],
      });
    });

    afterEach(() => guard.close());

    const complain = (
      type: number,
      protocol: number,
      body: Uint8Array,
      quoted: Partial<Parameters<typeof ip>[0]> = {},
      outer = {},
    ) => offer(ICMP, errorBody(type, ip({ protocol, body, source: HOST, destination: PEER, ...quoted })), outer);

    test('ports in the ranges are the gateway’s', () => {
      for (const port of [30_000, OURS, 65_535]) {
        expect(offer(TCP, tcpBody(80, port))).toEqual(GATEWAY);
        expect(offer(UDP, udpBody(80, port), { options: 8 })).toEqual(GATEWAY);
      }
      for (const port of [0, THEIRS, 29_999]) {
        expect(offer(TCP, tcpBody(80, port)).answers).toEqual(['rst']);
        expect(offer(UDP, udpBody(80, port)).answers).toEqual(['icmp 3/3']);
      }
      expect(offer(TCP, tcpBody(80, 8080)).answers).toEqual(['rst']);
      expect(offer(TCP, tcpBody(80, 8080), { destination: HOST_SECOND })).toEqual(GATEWAY);
      expect(offer(TCP, tcpBody(80, OURS), { destination: HOST_SECOND })).toEqual(GATEWAY);
      expect(offer(TCP, tcpBody(80, OURS), { destination: HOST_OTHER }).gateway).toBe(false);
    });

    test('ICMP answers and errors, as with eBPF', () => {
      // The host may have asked, with an identifier of the same range.
      expect(offer(ICMP, queryBody(0, OURS))).toEqual(BOTH);
      expect(offer(ICMP, queryBody(0, THEIRS))).toEqual(STACK);
      expect(offer(ICMP, queryBody(8, OURS)).answers).toEqual(['icmp 0/0']);
      for (const type of [3, 4, 5, 11, 12]) {
        for (const [protocol, body] of [
          [TCP, tcpBody],
          [UDP, udpBody],
        ] as const) {
          expect(complain(type, protocol, body(OURS, 80))).toEqual(GATEWAY);
          expect(complain(type, protocol, body(OURS, 80), { options: 40 }, { options: 4 })).toEqual(GATEWAY);
          expect(complain(type, protocol, body(THEIRS, 80))).toEqual(STACK);
          expect(complain(type, protocol, body(OURS, 80), { source: HOST_SECOND })).toEqual(STACK);
          expect(complain(type, protocol, body(OURS, 80), { fragment: { offset: 8 } })).toEqual(STACK);
        }
        expect(complain(type, ICMP, queryBody(8, OURS))).toEqual(BOTH);
        expect(complain(type, ICMP, queryBody(0, OURS))).toEqual(STACK);
      }
    });

    test('fragments, other protocols, tags, other machines', () => {
      expect(offer(UDP, udpBody(80, OURS, 1000), { fragment: { more: true } })).toEqual(GATEWAY);
      expect(offer(UDP, udpBody(80, OURS, 1000), { fragment: { offset: 1000 } })).toEqual(BOTH);
      expect(offer(GRE, new Uint8Array(24)).gateway).toBe(false);
      const packet = ip({ protocol: TCP, body: tcpBody(80, OURS) });
      expect(lab.offer(framed(packet, 'host', 7)).gateway).toBe(false);
      expect(lab.offer(framed(packet, 'stranger')).gateway).toBe(false);
    });

    test('rules change in place', () => {
      guard.setRules({ addresses: both, ranges: [range(TCP, THEIRS, THEIRS)] });
      expect(offer(TCP, tcpBody(80, THEIRS))).toEqual(GATEWAY);
      expect(offer(TCP, tcpBody(80, OURS)).answers).toEqual(['rst']);
      expect(classifiers()).toHaveLength(1);
    });

    test('more ranges than a program holds are refused, and what was in force stays', () => {
      const scattered = Array.from({ length: 2000 }, (_, i) => range(TCP, 2 * i, 2 * i));
      expect(() => guard.setRules({ addresses: both, ranges: scattered })).toThrow(/classic guard, the kernel takes 4096/);
      expect(offer(TCP, tcpBody(80, OURS))).toEqual(GATEWAY);
      guard.setRules({ addresses: both, ranges: scattered.slice(0, 1300) });
      expect(offer(TCP, tcpBody(80, 2 * 1299))).toEqual(GATEWAY);
      expect(offer(TCP, tcpBody(80, 2 * 1299 + 1)).answers).toEqual(['rst']);
    });
  });
});

test('ranges are joined where they meet or overlap, and checked', () => {
  const program = (...ranges: [number, number][]): number =>
    classicGuard(
      { addresses: [1], ranges: ranges.map(([first, last]) => ({ protocol: TCP!, address: 0, first, last })) },
      ClassicPlace.socket,
    ).length;
  expect(program([1, 5], [6, 9], [3, 4])).toBe(program([1, 9]));
  expect(program([1, 5], [7, 9])).toBeGreaterThan(program([1, 9]));
  expect(() => program([9, 1])).toThrow('9 to 1 is no range of ports');
  expect(() => program([1, 65_536])).toThrow('no range');
});
