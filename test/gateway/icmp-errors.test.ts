/** C.4: R30 to R34 and R21. */
import { describe, expect, test } from 'vitest';
import { IcmpError, IcmpErrors } from '../../src/gateway/icmp-errors.js';
import { IpIds } from '../../src/gateway/ip-ids.js';
import { rewrite } from '../../src/nat/rewrite.js';
import * as checksum from '../../src/wire/checksum.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { formatIpv4 } from '../../src/wire/ipv4-address.js';
import * as tcp from '../../src/wire/tcp.js';
import * as udp from '../../src/wire/udp.js';
import { makePacket, type Packet, type PacketOptions, payload } from '../helpers/packet.js';
import { ip, MadeBatch, OWN_MAC, twoZones, UPLINK, UPLINK_MAC, UPLINK_PORT } from './made-batch.js';

const L4 = 34;
const QUOTE = L4 + icmp.HEADER_BYTES;

class Reporter {
  readonly made = new MadeBatch(1 << 19, 4096);
  readonly errors = new IcmpErrors(twoZones(), new IpIds(() => 0.5), this.made.counters, this.made.portCounters, () => 0.5);

  /** The error about a frame that came in by port 1 of bridge 0. */
  about(packet: Packet, error: number = IcmpError.ttlExceeded, mtu = 0): Uint8Array | null {
    const { batch, egress } = this.made;
    const frame = this.errors.report(batch, egress, this.made.add(packet), 1, 0, error, mtu);
    return frame < 0 ? null : this.made.bytesOf(frame);
  }
}

/** All checksums and lengths of an error are right. */
function verify(frame: Uint8Array): void {
  expect(ipv4.check(frame, 14, frame.length - 14)).toBe(ipv4.Fault.none);
  expect(ipv4.totalLength(frame, 14)).toBe(frame.length - 14);
  expect(icmp.verify(frame, L4, frame.length - L4)).toBe(true);
  expect(checksum.checksum(frame, QUOTE, ipv4.headerBytes(frame, QUOTE))).toBe(0);
}

describe('an error', () => {
  test('R31, R32: goes back to the sender from our address there, TTL 64, DSCP as it was, and quotes the packet', () => {
    const reporter = new Reporter();
    const packet = makePacket({ source: '02:00:00:00:00:07', destination: OWN_MAC, tos: 0xb9, ttl: 1, ipDestination: '8.8.8.8' });
    const error = reporter.about(packet) as Uint8Array;
    verify(error);
    expect(ethernet.parse(error, 0)).toMatchObject({ source: OWN_MAC, destination: '02:00:00:00:00:07' });
    expect(ipv4.parse(error, 14)).toMatchObject({
      headerBytes: 20,
      source: '10.9.0.254',
      destination: '10.9.0.1',
      ttl: 64,
      tos: 0xb8,
      protocol: 1,
    });
    expect(icmp.parse(error, L4)).toEqual({ type: 11, code: 0, identifier: 0, sequence: 0 });
    expect(error.subarray(QUOTE)).toEqual(packet.frame.subarray(14));
    expect(reporter.made.onPort(1)).toEqual([error]);
    expect(reporter.made.count('icmp_errors_sent', 0)).toBe(1);
    expect(reporter.made.portCounters.snapshot(1).made).toBe(1);
  });

  test('about a packet from outside it leaves by the uplink, with the address there', () => {
    const { made, errors } = new Reporter();
    const frame = made.add(makePacket({ ipSource: '8.8.8.8', ipDestination: '192.168.7.2' }), UPLINK_PORT);
    errors.report(made.batch, made.egress, frame, UPLINK_PORT, UPLINK, IcmpError.prohibited, 0);
    const [error] = made.onPort(UPLINK_PORT);
    verify(error);
    expect(ethernet.parse(error, 0).source).toBe(UPLINK_MAC);
    expect(ipv4.parse(error, 14)).toMatchObject({ source: '192.168.7.2', destination: '8.8.8.8' });
    expect([icmp.type(error, L4), icmp.code(error, L4)]).toEqual([3, 13]);
  });

  test('R32: 576 bytes at most', () => {
    const error = new Reporter().about(makePacket({ payload: payload(1400) })) as Uint8Array;
    verify(error);
    expect(error.length).toBe(14 + 576);
  });

  test('R32: padding behind the packet is not quoted', () => {
    const { frame, vnet } = makePacket({ payload: payload(1) });
    const padded = new Uint8Array(60).fill(0xa5);
    padded.set(frame);
    const error = new Reporter().about({ frame: padded, vnet }) as Uint8Array;
    expect(error.length).toBe(QUOTE + frame.length - 14);
  });

  test('R21: 3/4 tells the MTU in the lower half of the second word, never below 68', () => {
    for (const [mtu, told] of [
      [1400, 1400],
      [68, 68],
      [10, 68],
      [65535, 65535],
    ]) {
      const error = new Reporter().about(makePacket(), IcmpError.fragmentationNeeded, mtu) as Uint8Array;
      verify(error);
      expect(icmp.parse(error, L4)).toEqual({ type: 3, code: 4, identifier: 0, sequence: told });
    }
  });

  test('R32: of a super-frame the first segment is quoted', () => {
    for (const protocol of ['tcp', 'udp'] as const) {
      const packet = makePacket({ protocol, payload: payload(30_000), gsoSize: 1400 });
      const error = new Reporter().about(packet, IcmpError.fragmentationNeeded, 1300) as Uint8Array;
      verify(error);
      const l4Header = protocol === 'tcp' ? tcp.HEADER_BYTES : udp.HEADER_BYTES;
      expect(ipv4.totalLength(error, QUOTE)).toBe(20 + l4Header + 1400);
      expect(error.length).toBe(14 + 576);
    }
  });
});

describe('R32: an error about a translated frame', () => {
  const tuple = { ipSource: '10.9.0.1', ipDestination: '8.8.8.8', sourcePort: 40001, destinationPort: 53 };

  function translated(options: PacketOptions) {
    const { made, errors } = new Reporter();
    const packet = makePacket({ ...tuple, ...options });
    const frame = made.add(packet);
    const { bytes, at } = made.batch;
    const ports = (50_000 << 16) | 53;
    rewrite(bytes, at[frame], at[frame] + 14, at[frame] + L4, ip('192.168.7.2'), ip('8.8.8.8'), ports);
    expect(made.bytesOf(frame)).not.toEqual(packet.frame);
    const quoted = [ip(tuple.ipSource), ip(tuple.ipDestination), (tuple.sourcePort << 16) | tuple.destinationPort] as const;
    errors.reportTranslated(made.batch, made.egress, frame, 1, 0, IcmpError.hostUnreachable, 0, ...quoted);
    const [error] = made.onPort(1);
    verify(error);
    expect(formatIpv4(ipv4.destination(error, 14))).toBe(tuple.ipSource);
    return { quote: error.subarray(QUOTE), sent: packet.frame.subarray(14) };
  }

  test('quotes it as it was sent, checksums included', () => {
    for (const protocol of ['tcp', 'udp'] as const) {
      const { quote, sent } = translated({ protocol, payload: payload(100) });
      expect(quote).toEqual(sent);
    }
  });

  test('R33: but for a partial checksum', () => {
    const { quote, sent } = translated({ protocol: 'udp', partial: true });
    const field = 20 + udp.CHECKSUM;
    expect(quote.subarray(0, field)).toEqual(sent.subarray(0, field));
    expect(quote.subarray(field + 2)).toEqual(sent.subarray(field + 2));
  });
});

describe('R30: there is no error about', () => {
  /** A frame whose IP header is changed by `change`, with a right checksum. */
  function changed(change: (frame: Uint8Array) => void, options: PacketOptions = {}): Packet {
    const packet = makePacket(options);
    change(packet.frame);
    ipv4.fillHeaderChecksum(packet.frame, 14);
    return packet;
  }
  const message = (type: number) =>
    changed((frame) => {
      frame[23] = 1;
      frame[34] = type;
    });

  test.each([
    ['an L2 broadcast', makePacket({ destination: 'ff:ff:ff:ff:ff:ff' })],
    ['an L2 multicast', makePacket({ destination: '01:00:5e:00:00:01' })],
    ['an IP multicast', makePacket({ ipDestination: '224.0.0.251' })],
    ['the limited broadcast', makePacket({ ipDestination: '255.255.255.255' })],
    ['the broadcast of the subnet', makePacket({ ipDestination: '10.9.0.255' })],
    ['source 0.0.0.0', makePacket({ ipSource: '0.0.0.0' })],
    ['a loopback source', makePacket({ ipSource: '127.0.0.1' })],
    ['a multicast source', makePacket({ ipSource: '224.0.0.1' })],
    ['a source of class E', makePacket({ ipSource: '240.0.0.1' })],
    ['the subnet as source', makePacket({ ipSource: '10.9.0.0' })],
    ['its broadcast as source', makePacket({ ipSource: '10.9.0.255' })],
    ['a later fragment', changed((frame) => ipv4.setFragmentWord(frame, 14, 5))],
    ['an ICMP unreachable', message(3)],
    ['an ICMP redirect', message(5)],
    ['an ICMP time exceeded', message(11)],
    ['an ICMP parameter problem', message(12)],
    ['a source quench', message(4)],
    ['an unknown ICMP type', message(77)],
    ['a router advertisement', message(9)],
    [
      'an ICMP message without a type',
      changed((frame) => {
        frame[23] = 1;
        ipv4.setTotalLength(frame, 14, 20);
      }),
    ],
  ])('%s', (_, packet) => {
    const reporter = new Reporter();
    expect(reporter.about(packet)).toBeNull();
    expect(reporter.about(packet, IcmpError.fragmentationNeeded, 1400)).toBeNull();
    expect(reporter.made.count('icmp_errors_sent', 0)).toBe(0);
    expect(reporter.made.onPort(1)).toEqual([]);
  });

  test('but about a query, an answer and a first fragment there is', () => {
    for (const packet of [message(8), message(0), message(13), changed((frame) => ipv4.setFragmentWord(frame, 14, 0x2000))]) {
      expect(new Reporter().about(packet)).not.toBeNull();
    }
  });

  test('anything in a zone without an address', () => {
    const { made, errors } = new Reporter();
    expect(errors.report(made.batch, made.egress, made.add(makePacket()), 1, 5, IcmpError.noRoute, 0)).toBe(-1);
  });
});

describe('R34: limits', () => {
  test('6 errors at once to one destination, then one a second; 3/4 is exempt', () => {
    const reporter = new Reporter();
    const sent = (count: number, error: number) =>
      Array.from({ length: count }, () => reporter.about(makePacket(), error, 1400)).filter((each) => each !== null).length;
    expect(sent(20, IcmpError.ttlExceeded)).toBe(6);
    expect(reporter.made.count('icmp_rate_limited', 0)).toBe(14);
    reporter.made.later(2);
    expect(sent(20, IcmpError.noRoute)).toBe(2);
    expect(sent(20, IcmpError.fragmentationNeeded)).toBe(20);
  });

  test('50 at once altogether, then 1,000 a second: 10,000 triggers in a second make 1,050 at most', () => {
    const reporter = new Reporter();
    let sent = 0;
    for (let turn = 0; turn < 10_000; turn++) {
      if (turn % 100 === 0) {
        expect(turn === 100 ? sent : 50).toBe(50);
        reporter.made.begin(1000_000_000 + turn * 100);
      }
      const packet = makePacket({ ipSource: formatIpv4(ip('11.0.0.1') + turn * 3) });
      sent += reporter.about(packet) === null ? 0 : 1;
    }
    expect(sent).toBeLessThanOrEqual(1050);
    expect(sent).toBeGreaterThan(1000);
    expect(reporter.made.count('icmp_rate_limited', 0)).toBe(10_000 - sent);
  });

  test('limits are settable', () => {
    const reporter = new Reporter();
    reporter.errors.setLimits(1, 2, 1000, 50);
    const sent = Array.from({ length: 9 }, () => reporter.about(makePacket())).filter((each) => each !== null);
    expect(sent).toHaveLength(2);
  });

  test('a batch without room: counted', () => {
    const made = new MadeBatch(100);
    const errors = new IcmpErrors(twoZones(), new IpIds(() => 0.5), made.counters, made.portCounters, () => 0.5);
    const frame = made.add(makePacket({ payload: payload(100) }));
    expect(errors.report(made.batch, made.egress, frame, 1, 0, IcmpError.ttlExceeded, 0)).toBe(-1);
    expect(made.count('made_full', 0)).toBe(1);
  });
});
