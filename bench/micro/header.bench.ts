/**
 * Every field of a header, by the accessors of one file of src/wire: what reading a whole header in place costs; per header. Argument: the file.
 * The calls are written out, as forwarding code has them: a loop over functions would measure calls that nothing inlines.
 */
import * as arp from '../../dist/wire/arp.js';
import * as ethernet from '../../dist/wire/ethernet.js';
import * as icmp from '../../dist/wire/icmp.js';
import * as ipv4 from '../../dist/wire/ipv4.js';
import * as ipv6 from '../../dist/wire/ipv6.js';
import * as tcp from '../../dist/wire/tcp.js';
import * as udp from '../../dist/wire/udp.js';
import * as vlan from '../../dist/wire/vlan.js';
import * as vnet from '../../dist/wire/vnet-header.js';
import { WIRE_FILES } from './fields.js';
import { makeRig } from './frames.js';
import { expectEqual, measure } from './measure.js';

const HEADERS = 1024;
const ROUNDS = 16;
const SLOT_BYTES = 128;
const FRAME = 14;
const FRAME_BYTES = 60;
const TAG = ethernet.HEADER_BYTES - 2;

type Mix = (bytes: Uint8Array, at: number) => number;

const MIXES: Record<string, Mix> = {
  ethernet: (b, at) =>
    ethernet.destinationHigh(b, at) ^
    ethernet.destinationLow(b, at) ^
    ethernet.sourceHigh(b, at) ^
    ethernet.sourceLow(b, at) ^
    ethernet.etherType(b, at),
  vlan: (b, at) =>
    vlan.vid(b, at, FRAME_BYTES) ^
    vlan.l3Offset(b, at, FRAME_BYTES) ^
    vlan.innerEtherType(b, at, FRAME_BYTES) ^
    vlan.priority(b, at + TAG),
  arp: (b, at) =>
    arp.operation(b, at) ^
    arp.senderMacHigh(b, at) ^
    arp.senderMacLow(b, at) ^
    arp.senderIp(b, at) ^
    arp.targetMacHigh(b, at) ^
    arp.targetMacLow(b, at) ^
    arp.targetIp(b, at),
  ipv4: (b, at) =>
    ipv4.version(b, at) ^
    ipv4.headerBytes(b, at) ^
    ipv4.tos(b, at) ^
    ipv4.totalLength(b, at) ^
    ipv4.identification(b, at) ^
    ipv4.fragmentWord(b, at) ^
    ipv4.ttl(b, at) ^
    ipv4.protocol(b, at) ^
    ipv4.headerChecksum(b, at) ^
    ipv4.source(b, at) ^
    ipv4.destination(b, at),
  ipv6: (b, at) =>
    ipv6.version(b, at) ^
    ipv6.trafficClass(b, at) ^
    ipv6.flowLabel(b, at) ^
    ipv6.payloadLength(b, at) ^
    ipv6.nextHeader(b, at) ^
    ipv6.hopLimit(b, at),
  udp: (b, at) => udp.sourcePort(b, at) ^ udp.destinationPort(b, at) ^ udp.datagramLength(b, at) ^ udp.checksumField(b, at),
  tcp: (b, at) =>
    tcp.sourcePort(b, at) ^
    tcp.destinationPort(b, at) ^
    tcp.sequence(b, at) ^
    tcp.acknowledgment(b, at) ^
    tcp.headerBytes(b, at) ^
    tcp.flags(b, at) ^
    tcp.window(b, at) ^
    tcp.checksumField(b, at) ^
    tcp.urgentPointer(b, at),
  icmp: (b, at) =>
    icmp.type(b, at) ^ icmp.code(b, at) ^ icmp.checksumField(b, at) ^ icmp.identifier(b, at) ^ icmp.sequence(b, at),
  vnet: (b, at) =>
    vnet.flags(b, at) ^
    vnet.gsoType(b, at) ^
    vnet.headerLength(b, at) ^
    vnet.gsoSize(b, at) ^
    vnet.checksumStart(b, at) ^
    vnet.checksumOffset(b, at) ^
    vnet.buffers(b, at),
};

const name = process.argv[2] ?? 'ethernet';
const mix = MIXES[name];
const file = WIRE_FILES[name];
const { bytes } = makeRig(2).batch;
const offsets = Int32Array.from({ length: HEADERS }, (_, index) => index * SLOT_BYTES + FRAME + file.offset);
offsets.forEach((at, index) => {
  file.emit(bytes, at, index % 128);
});

function round(): number {
  let sum = 0;
  for (let index = 0; index < HEADERS; index++) sum = (sum + mix(bytes, offsets[index])) | 0;
  return sum;
}

let total = 0;
measure({
  units: HEADERS * ROUNDS,
  run() {
    for (let count = 0; count < ROUNDS; count++) total = (total + round()) | 0;
  },
  check(runs) {
    const expected = BigInt.asIntN(32, BigInt(round()) * BigInt(runs) * BigInt(ROUNDS));
    expectEqual('sum of all fields', total, Number(expected));
  },
});
