/**
 * The translation of one frame: addresses, port, TTL and checksums in place; argument: "udp" (60-byte frames, complete checksum), "tcp" (the same
 * with an unfinished one, as containers and super-frames come). 1,024 frames, there and back again by turns.
 */
import { decrementTtl, rewrite } from '../../dist/nat/rewrite.js';
import * as checksum from '../../dist/wire/checksum.js';
import * as ethernet from '../../dist/wire/ethernet.js';
import * as ipv4 from '../../dist/wire/ipv4.js';
import * as tcp from '../../dist/wire/tcp.js';
import * as udp from '../../dist/wire/udp.js';
import * as vnet from '../../dist/wire/vnet-header.js';
import { expectEqual, measure } from './measure.js';

const FRAMES = 1024;
const SLOT_BYTES = 128;
const LEAD_BYTES = 14;
const TTL = 64;
const INNER = 0x0a09_0002;
const OUTER = 0xc000_0201 | 0;
const PEER = 0xcb00_7109 | 0;
const partial = process.argv[2] === 'tcp';
const protocol = partial ? ipv4.Protocol.tcp : ipv4.Protocol.udp;
const l4Bytes = partial ? tcp.HEADER_BYTES : udp.HEADER_BYTES + 18;
const field = partial ? tcp.CHECKSUM : udp.CHECKSUM;

const bytes = new Uint8Array(FRAMES * SLOT_BYTES);
const portsOf = (frame: number, port: number): number => ((port + frame) << 16) | 53 | 0;

for (let frame = 0; frame < FRAMES; frame++) {
  const at = frame * SLOT_BYTES + LEAD_BYTES;
  const ip = at + ethernet.HEADER_BYTES;
  const l4 = ip + ipv4.HEADER_BYTES;
  vnet.write(bytes, at - vnet.HEADER_BYTES, partial ? vnet.Flag.needsChecksum : 0, 0, 0, 0, l4 - at, field);
  ipv4.emit(bytes, ip, {
    headerBytes: ipv4.HEADER_BYTES,
    tos: 0,
    totalLength: ipv4.HEADER_BYTES + l4Bytes,
    identification: frame,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    ttl: TTL,
    protocol,
    source: '10.9.0.2',
    destination: '203.0.113.9',
  });
  new DataView(bytes.buffer).setInt32(l4, portsOf(frame, 40_000));
  if (!partial) udp.setDatagramLength(bytes, l4, l4Bytes);
  const pseudo = checksum.pseudoIpv4(bytes, ip, protocol, l4Bytes);
  const value = partial ? pseudo : checksum.finish(checksum.sum(bytes, l4, l4Bytes, pseudo));
  new DataView(bytes.buffer).setUint16(l4 + field, value);
}

let turns = 0;

measure({
  units: FRAMES,
  prepare() {
    if (ipv4.ttl(bytes, LEAD_BYTES + ethernet.HEADER_BYTES) > 1) return;
    for (let frame = 0; frame < FRAMES; frame++) {
      const ip = frame * SLOT_BYTES + LEAD_BYTES + ethernet.HEADER_BYTES;
      ipv4.setTtl(bytes, ip, TTL);
      ipv4.fillHeaderChecksum(bytes, ip);
    }
  },
  run() {
    const out = (turns++ & 1) === 0;
    const source = out ? OUTER : INNER;
    const port = out ? 17_000 : 40_000;
    for (let frame = 0; frame < FRAMES; frame++) {
      const at = frame * SLOT_BYTES + LEAD_BYTES;
      const ip = at + ethernet.HEADER_BYTES;
      decrementTtl(bytes, ip);
      rewrite(bytes, at, ip, ip + ipv4.HEADER_BYTES, source, PEER, portsOf(frame, port));
    }
  },
  check() {
    const at = LEAD_BYTES + ethernet.HEADER_BYTES;
    const l4 = at + ipv4.HEADER_BYTES;
    expectEqual('source', ipv4.source(bytes, at), (turns & 1) === 1 ? OUTER : INNER);
    expectEqual('header checksum', checksum.checksum(bytes, at, ipv4.HEADER_BYTES), 0);
    const pseudo = checksum.pseudoIpv4(bytes, at, protocol, l4Bytes);
    const value = new DataView(bytes.buffer).getUint16(l4 + field);
    expectEqual('checksum', partial ? value : checksum.sum(bytes, l4, l4Bytes, pseudo), partial ? pseudo : 0xffff);
  },
});
