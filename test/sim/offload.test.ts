/** Section F of the forwarding semantics through a whole engine: what happens to super-frames and datagrams between two ports. */
import { describe, expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';
import type { MemoryFrame, MemoryOptions } from '../../src/port/memory-port.js';
import * as checksum from '../../src/wire/checksum.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as tcp from '../../src/wire/tcp.js';
import * as udp from '../../src/wire/udp.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { makePacket, type Packet, type PacketOptions, payload } from '../helpers/packet.js';
import { frame, labelOf, macOf } from './frames.js';
import { Simulation } from './simulation.js';

const FROM_1_TO_2 = { source: macOf(1), destination: macOf(2) };
const L3 = 14;
const L4 = 34;

/** Host 1 with offloads on port 0, host 2 on port 1. */
function pair(receiver: MemoryOptions = {}) {
  const simulation = new Simulation();
  const sender = simulation.port({ mac: macOf(1) });
  const taker = simulation.port({ mac: macOf(2), mtu: 9000, ...receiver });
  return { simulation, sender, taker };
}

function packet(options: PacketOptions = {}): Packet {
  return makePacket({ ...FROM_1_TO_2, ...options });
}

/** Both checksums of an untagged TCP or UDP packet over IPv4 are right. */
function verifies(bytes: Uint8Array): boolean {
  const length = bytes.length - L4;
  const pseudo = checksum.pseudoIpv4(bytes, L3, ipv4.protocol(bytes, L3), length);
  return ipv4.check(bytes, L3, bytes.length - L3) === ipv4.Fault.none && checksum.sum(bytes, L4, length, pseudo) === 0xffff;
}

/** Datagrams as a socket behind a port would get them: super-frames cut into their segments. */
function datagrams(received: MemoryFrame[]): number[][] {
  return received.flatMap(({ frame: bytes, vnet: header }) => {
    const data = [...bytes.subarray(L4 + udp.HEADER_BYTES)];
    if (vnet.gsoType(header, 0) === vnet.GsoType.none) {
      return [data];
    }
    const size = vnet.gsoSize(header, 0);
    return Array.from({ length: Math.ceil(data.length / size) }, (_, index) => data.slice(index * size, (index + 1) * size));
  });
}

describe('between ports with vnet header', () => {
  const large: [string, PacketOptions][] = [
    ['TCP over IPv4', { protocol: 'tcp', gsoSize: 1448, payload: payload(60_000) }],
    ['TCP over IPv6', { protocol: 'tcp', version: 6, gsoSize: 1428, payload: payload(30_000) }],
    ['TCP in a VLAN', { protocol: 'tcp', vid: 0, gsoSize: 1448, payload: payload(9000) }],
    ['UDP', { gsoSize: 1200, payload: payload(20_000) }],
    ['UDP over IPv6', { version: 6, gsoSize: 1200, payload: payload(20_000) }],
    ['a partial checksum', { partial: true, payload: payload(700) }],
    ['the largest IP packet', { protocol: 'tcp', gsoSize: 1448, payload: payload(65_535 - 40) }],
  ];
  for (const [name, options] of large) {
    test(`${name}: untouched, byte for byte, vnet header included`, () => {
      const { simulation, sender, taker } = pair();
      const sent = packet(options);
      sender.send(sent);
      expect(taker.takeWhole()).toEqual([sent]);
      simulation.expectConserved();
    });
  }

  test('DATA_VALID and unknown flag bits are not held against a frame (F.1)', () => {
    const { sender, taker } = pair();
    for (const flags of [2, 4, 0x80]) {
      const sent = packet();
      vnet.setFlags(sent.vnet, 0, flags);
      sender.send(sent);
      expect(taker.take()).toEqual([sent.frame]);
    }
  });

  test('G41: a super-frame counts as its packets on the wire', () => {
    const { sender, taker } = pair();
    sender.send(packet({ protocol: 'tcp', gsoSize: 1000, payload: payload(4500) }), packet());
    expect([sender.count('rx_frames'), sender.count('rx_packets')]).toEqual([2, 6]);
    expect([taker.count('tx_frames'), taker.count('tx_packets')]).toEqual([2, 6]);
    expect(taker.count('tx_bytes')).toBe(4554 + 60);
  });

  test('a UDP super-frame for a kernel that does not take one is segmented, checksums left to the receiver', () => {
    const { sender, taker } = pair({ udpSegmentation: false });
    sender.send(packet({ gsoSize: 500, payload: payload(1300) }));
    const out = taker.takeWhole();
    expect(out.map(({ frame: bytes }) => bytes.length - L4 - 8)).toEqual([500, 500, 300]);
    expect(out.map(({ vnet: header }) => [vnet.flags(header, 0), vnet.gsoType(header, 0)])).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    expect(datagrams(out).flat()).toEqual([...payload(1300)]);
  });
});

describe('F.2: a vnet header that contradicts its frame: dropped, counted', () => {
  const tcpFrame = () => packet({ protocol: 'tcp', gsoSize: 500, payload: payload(1300) });
  const cases: [string, (sent: Packet) => void][] = [
    ['without NEEDS_CSUM', ({ vnet: header }) => vnet.setFlags(header, 0, 0)],
    ['gso_size 0', ({ vnet: header }) => header.fill(0, 4, 6)],
    ['UDP fragmentation (type 3)', ({ vnet: header }) => header.fill(3, 1, 2)],
    ['unknown type', ({ vnet: header }) => header.fill(2, 1, 2)],
    ['TCP over IPv6 where IPv4 is', ({ vnet: header }) => header.fill(4, 1, 2)],
    ['UDP where TCP is', ({ vnet: header }) => header.fill(5, 1, 2)],
    ['csum_start not at the L4 header', ({ vnet: header }) => header.fill(35, 6, 7)],
    ['csum_offset not at the checksum', ({ vnet: header }) => header.fill(6, 8, 9)],
    ['csum_start behind the frame', ({ vnet: header }) => header.fill(0xff, 6, 8)],
    ['hdr_len longer than the frame', ({ vnet: header }) => header.fill(0xff, 2, 4)],
    ['a fragment', ({ frame: bytes }) => ipv4.setFragmentWord(bytes, L3, 0x2000)],
    ['no IP at all', ({ frame: bytes }) => bytes.fill(0x88, 12, 14)],
  ];
  for (const [name, spoil] of cases) {
    test(name, () => {
      const { simulation, sender, taker } = pair();
      const sent = tcpFrame();
      spoil(sent);
      sender.send(sent);
      expect(taker.take()).toEqual([]);
      expect(sender.count('rx_bad_vnet')).toBe(1);
      simulation.expectConserved();
    });
  }

  test('ECN with UDP, and a partial checksum outside the frame', () => {
    const { sender, taker } = pair();
    const ecn = packet({ gsoSize: 500, payload: payload(1300) });
    ecn.vnet[1] |= vnet.GsoType.ecn;
    const outside = packet({ partial: true });
    outside.vnet[6] = outside.frame.length - 7;
    sender.send(ecn, outside);
    expect([taker.take(), sender.count('rx_bad_vnet')]).toEqual([[], 2]);
    // Two bytes earlier the field is the frame's last.
    outside.vnet[6] -= 1;
    sender.send(outside);
    expect(taker.take()).toHaveLength(1);
  });

  test('ECN with TCP, and payload that fits one segment, are true', () => {
    const { sender, taker } = pair();
    const ecn = tcpFrame();
    ecn.vnet[1] |= vnet.GsoType.ecn;
    const single = packet({ protocol: 'tcp', gsoSize: 2000, payload: payload(1300) });
    sender.send(ecn, single);
    expect(taker.takeWhole()).toEqual([ecn, single]);
  });
});

describe('to a port without offloads', () => {
  test('TCP: segments that verify, whose payloads are the stream, flags where they belong (F.3)', () => {
    const { simulation, sender, taker } = pair({ headerBytes: 0 });
    const { ack, psh, fin, cwr } = tcp.Flag;
    const flags = ack | psh | fin | cwr;
    sender.send(
      packet({ protocol: 'tcp', gsoSize: 1000, payload: payload(2500), sequence: 0xffff_fc00, identification: 0xffff, flags }),
    );
    const out = taker.take();
    expect(out.map(verifies)).toEqual([true, true, true]);
    expect(out.flatMap((bytes) => [...bytes.subarray(L4 + 20)])).toEqual([...payload(2500)]);
    expect(out.map((bytes) => tcp.parse(bytes, L4).sequence)).toEqual([0xffff_fc00, 0xffff_ffe8, 0x3d0]);
    expect(out.map((bytes) => ipv4.identification(bytes, L3))).toEqual([0xffff, 0, 1]);
    expect(out.map((bytes) => tcp.flags(bytes, L4))).toEqual([ack | cwr, ack, ack | psh | fin]);
    expect([taker.count('tx_frames'), taker.count('tx_packets')]).toEqual([1, 3]);
    simulation.expectConserved();
  });

  test('UDP: the same; and the arena holds what the sender wrote, for the other ports of a flood', () => {
    const simulation = new Simulation();
    const sender = simulation.port();
    const plain = [simulation.port({ headerBytes: 0 }), simulation.port({ headerBytes: 0 })];
    const whole = simulation.port();
    const sent = packet({ gsoSize: 700, payload: payload(1500), dontFragment: false });
    sender.send(sent);
    expect(whole.takeWhole()).toEqual([sent]);
    const [first, second] = plain.map((port) => port.take());
    expect(first).toEqual(second);
    expect(first.map(verifies)).toEqual([true, true, true]);
    expect(first.flatMap((bytes) => [...bytes.subarray(L4 + 8)])).toEqual([...payload(1500)]);
  });

  test('partial checksums are finished, of TCP and UDP, tagged or not, over IPv4 and IPv6', () => {
    for (const protocol of ['tcp', 'udp'] as const) {
      for (const version of [4, 6] as const) {
        for (const vid of [-1, 0]) {
          const { sender, taker } = pair({ headerBytes: 0 });
          sender.send(packet({ protocol, version, vid, partial: true }));
          expect(taker.take()).toEqual([packet({ protocol, version, vid }).frame]);
        }
      }
    }
  });

  test('more segments than the scratch memory holds at once: all of them, in order', () => {
    const { sender, taker } = pair({ headerBytes: 0, queueFrames: 40_000 });
    const size = 24;
    for (let turn = 0; turn < 14; turn++) {
      sender.queue(packet({ protocol: 'tcp', gsoSize: size, payload: payload(65_000, turn), sequence: turn * 65_000 }));
    }
    sender.send();
    const out = taker.take();
    expect(out.length).toBe(14 * Math.ceil(65_000 / size));
    let next = 0;
    for (const bytes of out) {
      expect(tcp.parse(bytes, L4).sequence).toBe(next);
      next += bytes.length - L4 - 20;
    }
    expect(next).toBe(14 * 65_000);
    expect(out.filter((_, index) => index % 997 === 0).every(verifies)).toBe(true);
  });
});

describe('F.4: datagrams in one burst', () => {
  const datagram = (flow: number, number: number, length = 200) => {
    const data = payload(length, flow * 1000 + number);
    new DataView(data.buffer).setUint32(0, number);
    return packet({ sourcePort: 4000 + flow, payload: data, identification: number, partial: true });
  };

  test('of one flow they leave as one super-frame, with the payload of each', () => {
    const { simulation, sender, taker } = pair();
    sender.send(...Array.from({ length: 10 }, (_, number) => datagram(1, number)));
    const out = taker.takeWhole();
    expect(out).toHaveLength(1);
    expect(vnet.parse(out[0].vnet, 0)).toMatchObject({ flags: 1, gsoType: vnet.GsoType.udpL4, gsoSize: 200 });
    expect(datagrams(out)).toEqual(Array.from({ length: 10 }, (_, number) => [...datagram(1, number).frame.subarray(42)]));
    expect([taker.count('tx_frames'), taker.count('tx_packets')]).toEqual([10, 10]);
    simulation.expectConserved();
  });

  test('on a port that takes no super-frames they leave as they came', () => {
    for (const options of [{ udpSegmentation: false }, { headerBytes: 0 as const }]) {
      const { sender, taker } = pair(options);
      sender.send(...Array.from({ length: 10 }, (_, number) => datagram(1, number)));
      expect(taker.take()).toHaveLength(10);
    }
  });

  test('from two ports that speak with one address: every datagram arrives, those of each port in order', () => {
    const simulation = new Simulation();
    const senders = [simulation.port(), simulation.port()];
    const taker = simulation.port({ mac: macOf(2) });
    for (const [index, sender] of senders.entries()) {
      sender.queue(datagram(1, 10 + index), datagram(1, 20 + index));
    }
    simulation.run();
    const numbers = datagrams(taker.takeWhole()).map((data) => data[3]);
    expect([...numbers].sort()).toEqual([10, 11, 20, 21]);
    expect(numbers.filter((number) => number % 10 === 0)).toEqual([10, 20]);
    expect(numbers.filter((number) => number % 10 === 1)).toEqual([11, 21]);
  });

  test('a full queue loses a merged group as the frames it is', () => {
    const { simulation, sender, taker } = pair({ queueFrames: 1 });
    sender.send(frame(macOf(2), macOf(1), 5), ...Array.from({ length: 10 }, (_, number) => datagram(1, number)));
    expect(taker.take().map(labelOf)).toEqual([5]);
    expect([taker.count('tx_full'), taker.count('tx_frames')]).toEqual([10, 1]);
    simulation.expectConserved();
  });

  test('G26: random flows, lengths and other frames between: per flow in order, complete, nothing invented', () => {
    const random = new Random(23);
    const { simulation, sender, taker } = pair({ queueFrames: 4096 });
    const lengths = [60, 60, 60, 200, 200, 1400];
    const sent: number[][][] = [[], [], [], []];
    const others: number[] = [];
    for (let pass = 0; pass < 150; pass++) {
      let flow = 0;
      for (let burst = random.below(64); burst > 0; burst--) {
        if (random.below(4) === 0) {
          flow = random.below(4);
        }
        if (random.below(20) === 0) {
          others.push(others.length);
          sender.queue(frame(macOf(2), macOf(1), others.length - 1));
          continue;
        }
        const next = datagram(flow, sent[flow].length, lengths[random.below(lengths.length)]);
        sent[flow].push([...next.frame.subarray(42)]);
        sender.queue(next);
      }
      simulation.run();
    }
    const out = taker.takeWhole();
    const flowOf = ({ frame: bytes }: MemoryFrame) => udp.sourcePort(bytes, L4) - 4000;
    const isUdp = ({ frame: bytes }: MemoryFrame) => bytes[12] === 0x08;
    sent.forEach((expected, flow) => {
      expect(datagrams(out.filter((each) => isUdp(each) && flowOf(each) === flow))).toEqual(expected);
    });
    expect(out.filter((each) => !isUdp(each)).map((each) => labelOf(each.frame))).toEqual(others);
    const frames = sent.reduce((sum, each) => sum + each.length, 0) + others.length;
    expect(out.length).toBeLessThan(frames / 1.5);
    expect(taker.count('tx_frames')).toBe(frames);
    simulation.expectConserved();
  });
});
