/**
 * The kernel as oracle of src/offload: what is written to a TAP with vnet header crosses a kernel bridge to a TAP that has none, so the
 * kernel must segment and finish checksums in software. Its frames and ours must be the same bytes.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBridge, getLink, setLink } from '../../src/netlink/link.js';
import { emitCoalesced } from '../../src/offload/coalesce.js';
import { emitPlain } from '../../src/offload/emit-plain.js';
import { validate } from '../../src/offload/validate.js';
import * as ethernet from '../../src/wire/ethernet.js';
import { formatMac } from '../../src/wire/mac-address.js';
import * as tcp from '../../src/wire/tcp.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { fixtureFrames } from '../helpers/fixture.js';
import { makePacket, type Packet, type PacketOptions, payload } from '../helpers/packet.js';
import { describeSystem } from '../helpers/requirements.js';
import { Ring } from '../helpers/ring.js';
import { Bench, joined, Kind, Network } from '../native/lab.js';

const IN = 0;
const OUT = 1;
const EINVAL = 22;
/** Of the frames sent here; the bridge's own stack talks too, from an address of its own. */
const SOURCE = '02:00:00:00:00:0a';

function isMine(frame: Uint8Array): boolean {
  return formatMac(ethernet.sourceHigh(frame, 0), ethernet.sourceLow(frame, 0)) === SOURCE;
}

describeSystem('offload: the same bytes as the kernel', ['tap'], () => {
  let network: Network;
  let bench: Bench;

  beforeAll(() => {
    network = new Network();
    bench = new Bench();
    createBridge(network.netlink, 'br0');
    network.up('br0');
    const master = getLink(network.netlink, 'br0').index;
    bench.add(IN, network.tap('in'), Kind.tap, 12);
    bench.add(OUT, network.tap('out', false), Kind.tap, 0);
    for (const name of ['in', 'out']) {
      setLink(network.netlink, getLink(network.netlink, name).index, { master });
    }
  });
  afterAll(() => {
    bench.io.close();
    network.close();
  });

  /** What leaves a kernel port without offloads when these frames, vnet header in front, come in by one that has them. */
  function kernel(frames: Uint8Array[], expected: number): Uint8Array[] {
    for (const frame of frames) {
      bench.describe(IN, frame);
    }
    expect(bench.send()).toEqual([]);
    const mine: Uint8Array[] = [];
    while (mine.length < expected) {
      const burst = bench.pull(1);
      if (burst.length === 0) {
        break;
      }
      mine.push(...burst.filter(({ port, bytes }) => port === OUT && isMine(bytes)).map(({ bytes }) => bytes));
    }
    return mine;
  }

  function ours(packets: Packet[]): Uint8Array[] {
    const ring = new Ring();
    for (const packet of packets) {
      ring.add(packet);
    }
    expect(emitPlain(ring.bytes, ring.at, ring.length, ring.order, ring.count, OUT, ring.tx)).toBe(0);
    return ring.frames().map(({ bytes }) => bytes);
  }

  const { ack, psh, fin, cwr, ece } = tcp.Flag;
  const timestamps = [1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0];
  const superFrames: [string, PacketOptions][] = [
    ['TCP over IPv4', { protocol: 'tcp', flags: ack | psh, tcpOptions: timestamps, sequence: 0xffff_f000 }],
    ['TCP over IPv4 with FIN, ECE and CWR', { protocol: 'tcp', flags: ack | psh | fin | ece | cwr }],
    ['TCP over IPv6', { protocol: 'tcp', version: 6, flags: ack | psh, tcpOptions: timestamps }],
    ['UDP over IPv4', { identification: 0xfffe }],
    ['UDP over IPv4, fragmentation allowed', { identification: 0xfffe, dontFragment: false }],
    ['UDP over IPv6', { version: 6 }],
    ['TCP over IPv4 in a VLAN', { protocol: 'tcp', vid: 42, flags: ack }],
    ['UDP over IPv6 in a VLAN', { version: 6, vid: 42 }],
  ];
  for (const [what, options] of superFrames) {
    for (const [length, gsoSize] of [
      [9001, 1400],
      [2800, 1400],
      [60_000, 1000],
      [1401, 1400],
    ]) {
      test(`${what}: ${length} bytes in segments of ${gsoSize}`, () => {
        const packet = makePacket({ ...options, payload: payload(length), gsoSize });
        const segments = ours([packet]);
        expect(kernel([joined(packet.vnet, packet.frame)], segments.length)).toEqual(segments);
      });
    }
  }

  test('what real stacks handed to a TAP', () => {
    const packets = fixtureFrames('super-frames')
      .map((bytes) => ({ vnet: bytes.slice(0, 12), frame: bytes.slice(12) }))
      .filter(({ frame }) => isMine(frame));
    const frames = ours(packets);
    expect(
      kernel(
        packets.map((packet) => joined(packet.vnet, packet.frame)),
        frames.length,
      ),
    ).toEqual(frames);
  });

  test('partial checksums, odd and even lengths, TCP and UDP, IPv4 and IPv6', () => {
    const packets = ([4, 6] as const).flatMap((version) =>
      (['tcp', 'udp'] as const).flatMap((protocol) =>
        [1, 2, 63, 64, 65, 1399, 1400].map((length) =>
          makePacket({ version, protocol, payload: payload(length), partial: true }),
        ),
      ),
    );
    expect(
      kernel(
        packets.map((packet) => joined(packet.vnet, packet.frame)),
        packets.length,
      ),
    ).toEqual(ours(packets));
  });

  test('a UDP checksum of 0 is sent as 0xffff', () => {
    const data = new Uint8Array(4);
    const probe = makePacket({ payload: data }).frame;
    data.set(probe.subarray(40, 42), 2);
    const packet = makePacket({ payload: data, partial: true });
    const [frame] = kernel([joined(packet.vnet, packet.frame)], 1);
    expect([frame[40], frame[41]]).toEqual([0xff, 0xff]);
    expect(ours([packet])).toEqual([frame]);
  });

  test('F.4: merged datagrams come apart again as those that were sent', () => {
    const packets = [200, 200, 200, 77, 300, 300, 1, 1400, 1400, 1400].map((length, index) =>
      makePacket({ payload: payload(length, index), identification: 0x7ff8 + index, partial: index % 2 === 0 }),
    );
    const ring = new Ring();
    for (const packet of packets) {
      ring.add(packet);
    }
    emitCoalesced(ring.bytes, ring.ingress, ring.at, ring.length, ring.order, ring.count, IN, ring.tx, true);
    const merged = ring.frames();
    expect(merged.map(({ frames }) => frames)).toEqual([4, 3, 3]);
    const apart = kernel(
      merged.map(({ bytes }) => bytes),
      packets.length,
    );
    expect(apart).toEqual(ours(packets));
  });

  test('F.2: what the kernel refuses, validate has refused before', () => {
    const udp = makePacket({ payload: payload(3000), gsoSize: 1000 });
    const stream = makePacket({ protocol: 'tcp', payload: payload(3000), gsoSize: 1000 });
    const lies: [string, Packet, Partial<vnet.VnetHeader>][] = [
      // 6.18 compares with the frame and the two bytes of num_buffers.
      ['hdr_len', udp, { headerLength: udp.frame.length + 3 }],
      ['gso_size 0', udp, { gsoSize: 0 }],
      ['UDP_L4 without NEEDS_CSUM', udp, { flags: 0 }],
      ['csum_offset', udp, { checksumOffset: 7 }],
      ['UDP_L4 with ECN', udp, { gsoType: vnet.GsoType.udpL4 | vnet.GsoType.ecn }],
      ['UDP_L4 before TCP', stream, { gsoType: vnet.GsoType.udpL4 }],
      ['TCPv4 before UDP', udp, { gsoType: vnet.GsoType.tcpv4 }],
      ['unknown type', udp, { gsoType: 9 }],
      ['too many segments', makePacket({ payload: payload(1290), gsoSize: 10 }), {}],
      ['checksum behind the frame', makePacket({ partial: true }), { checksumStart: 55 }],
    ];
    const verdicts = lies.map(([what, packet, change]) => {
      const header = new Uint8Array(12);
      vnet.emit(header, 0, { ...vnet.parse(packet.vnet, 0), ...change });
      bench.describe(IN, joined(header, packet.frame));
      const refused = bench.send();
      const verdict = validate(joined(new Uint8Array(2), header, packet.frame), 14, packet.frame.length);
      return [what, refused, verdict !== 0];
    });
    expect(verdicts).toEqual(lies.map(([what]) => [what, [[0, EINVAL]], true]));
  });
});
