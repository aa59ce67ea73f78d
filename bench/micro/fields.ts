/** The accessors of src/wire by file, each with a header it can read and write. */
import * as arp from '../../dist/wire/arp.js';
import * as ethernet from '../../dist/wire/ethernet.js';
import * as icmp from '../../dist/wire/icmp.js';
import * as ipv4 from '../../dist/wire/ipv4.js';
import * as ipv6 from '../../dist/wire/ipv6.js';
import * as tcp from '../../dist/wire/tcp.js';
import * as udp from '../../dist/wire/udp.js';
import * as vlan from '../../dist/wire/vlan.js';
import * as vnet from '../../dist/wire/vnet-header.js';

/** Its name is the accessor's. Most do not look at the length. */
export type Reader = (bytes: Uint8Array, at: number, length: number) => number | boolean;
/** Writes one value to all it sets. */
export type Setter = (bytes: Uint8Array, at: number, value: number, again: number, onceMore: number) => void;

export interface WireFile {
  /** Distance of its header from the frame's start. */
  offset: number;
  /** Bytes from the header on. */
  length: number;
  /** Makes a header, different for each `index` (0 … 127). */
  emit(bytes: Uint8Array, at: number, index: number): void;
  readers: readonly Reader[];
  /** Each with the accessor that reads what it wrote. */
  setters: readonly (readonly [Setter, Reader])[];
}

const L3 = ethernet.HEADER_BYTES;
const L4 = L3 + ipv4.HEADER_BYTES;
const TAGGED = L3 + vlan.TAG_BYTES;
const MAC = '02:00:00:00:00:01';
const ADDRESS = '198.18.0.1';

/** Those of vlan.ts that take a tag's offset take the frame's here, as their neighbors do. */
function priority(bytes: Uint8Array, at: number): number {
  return vlan.priority(bytes, at + L3 - 2);
}

export const WIRE_FILES: Record<string, WireFile> = {
  ethernet: {
    offset: 0,
    length: 60,
    emit: (bytes, at, index) => ethernet.emit(bytes, at, { destination: MAC, source: MAC, etherType: 0x0800 + index }),
    readers: [ethernet.destinationHigh, ethernet.destinationLow, ethernet.sourceHigh, ethernet.sourceLow, ethernet.etherType],
    setters: [
      [ethernet.setDestination, ethernet.destinationLow],
      [ethernet.setSource, ethernet.sourceLow],
      [ethernet.setEtherType, ethernet.etherType],
    ],
  },
  vlan: {
    offset: 0,
    length: 60,
    emit(bytes, at, index) {
      vlan.emit(bytes, at + L3 - 2, { tpid: ethernet.EtherType.vlan, priority: 3, dropEligible: false, vid: index + 1 });
      ethernet.setEtherType(bytes, at + vlan.TAG_BYTES, ethernet.EtherType.ipv4);
    },
    readers: [vlan.vid, vlan.l3Offset, vlan.innerEtherType, priority],
    setters: [],
  },
  arp: {
    offset: L3,
    length: arp.PACKET_BYTES,
    emit: (bytes, at, index) =>
      arp.emit(bytes, at, { operation: (index & 1) + 1, senderMac: MAC, senderIp: ADDRESS, targetMac: MAC, targetIp: ADDRESS }),
    readers: [
      arp.check,
      arp.operation,
      arp.senderMacHigh,
      arp.senderMacLow,
      arp.senderIp,
      arp.targetMacHigh,
      arp.targetMacLow,
      arp.targetIp,
    ],
    setters: [
      [arp.setOperation, arp.operation],
      [arp.setSender, arp.senderIp],
      [arp.setTarget, arp.targetIp],
    ],
  },
  ipv4: {
    offset: L3,
    length: 46,
    emit: (bytes, at, index) =>
      ipv4.emit(bytes, at, {
        headerBytes: ipv4.HEADER_BYTES,
        tos: 0,
        totalLength: 46,
        identification: index,
        dontFragment: true,
        moreFragments: false,
        fragmentOffset: 0,
        ttl: 64,
        protocol: ipv4.Protocol.udp,
        source: ADDRESS,
        destination: ADDRESS,
      }),
    readers: [
      ipv4.check,
      ipv4.version,
      ipv4.headerBytes,
      ipv4.tos,
      ipv4.totalLength,
      ipv4.identification,
      ipv4.dontFragment,
      ipv4.isFragment,
      ipv4.fragmentOffset,
      ipv4.moreFragments,
      ipv4.fragmentWord,
      ipv4.ttl,
      ipv4.protocol,
      ipv4.headerChecksum,
      ipv4.source,
      ipv4.destination,
    ],
    setters: [
      [ipv4.setTotalLength, ipv4.totalLength],
      [ipv4.setIdentification, ipv4.identification],
      [ipv4.setFragmentWord, ipv4.fragmentWord],
      [ipv4.setTtl, ipv4.ttl],
      [ipv4.setHeaderChecksum, ipv4.headerChecksum],
      [ipv4.setSource, ipv4.source],
      [ipv4.setDestination, ipv4.destination],
    ],
  },
  ipv6: {
    offset: L3,
    length: ipv6.HEADER_BYTES + 20,
    emit: (bytes, at, index) =>
      ipv6.emit(bytes, at, {
        trafficClass: 0,
        flowLabel: index,
        payloadLength: 20,
        nextHeader: ipv4.Protocol.udp,
        hopLimit: 64,
        source: 'fd00::1',
        destination: 'fd00::2',
      }),
    readers: [
      ipv6.check,
      ipv6.version,
      ipv6.trafficClass,
      ipv6.flowLabel,
      ipv6.payloadLength,
      ipv6.nextHeader,
      ipv6.hopLimit,
      ipv6.upper,
    ],
    setters: [[ipv6.setPayloadLength, ipv6.payloadLength]],
  },
  udp: {
    offset: L4,
    length: 26,
    emit: (bytes, at, index) => udp.emit(bytes, at, { sourcePort: index, destinationPort: 5001, length: 26, checksum: 0x1234 }),
    readers: [udp.check, udp.sourcePort, udp.destinationPort, udp.datagramLength, udp.checksumField],
    setters: [
      [udp.setSourcePort, udp.sourcePort],
      [udp.setDestinationPort, udp.destinationPort],
      [udp.setDatagramLength, udp.datagramLength],
      [udp.setChecksumField, udp.checksumField],
    ],
  },
  tcp: {
    offset: L4,
    length: tcp.HEADER_BYTES,
    emit: (bytes, at, index) =>
      tcp.emit(bytes, at, {
        sourcePort: 40_000,
        destinationPort: 5001,
        sequence: index * 1448,
        acknowledgment: 1,
        headerBytes: tcp.HEADER_BYTES,
        flags: tcp.Flag.ack,
        window: 65_535,
        checksum: 0x1234,
        urgentPointer: 0,
      }),
    readers: [
      tcp.check,
      tcp.sourcePort,
      tcp.destinationPort,
      tcp.sequence,
      tcp.acknowledgment,
      tcp.headerBytes,
      tcp.flags,
      tcp.window,
      tcp.checksumField,
      tcp.urgentPointer,
    ],
    setters: [
      [tcp.setSourcePort, tcp.sourcePort],
      [tcp.setDestinationPort, tcp.destinationPort],
      [tcp.setSequence, tcp.sequence],
      [tcp.setAcknowledgment, tcp.acknowledgment],
      [tcp.setFlags, tcp.flags],
      [tcp.setChecksumField, tcp.checksumField],
    ],
  },
  icmp: {
    offset: L4,
    length: icmp.HEADER_BYTES,
    emit: (bytes, at, index) =>
      icmp.emit(bytes, at, icmp.HEADER_BYTES, { type: icmp.Type.echoRequest, code: 0, identifier: 7, sequence: index }),
    readers: [icmp.verify, icmp.type, icmp.code, icmp.checksumField, icmp.identifier, icmp.sequence],
    setters: [
      [icmp.setType, icmp.type],
      [icmp.setCode, icmp.code],
      [icmp.setIdentifier, icmp.identifier],
      [icmp.setSequence, icmp.sequence],
    ],
  },
  vnet: {
    offset: -vnet.HEADER_BYTES,
    length: vnet.HEADER_BYTES,
    emit: (bytes, at, index) =>
      vnet.write(bytes, at, vnet.Flag.needsChecksum, vnet.GsoType.tcpv4, TAGGED, 1448 - index, L4, tcp.CHECKSUM),
    readers: [vnet.flags, vnet.gsoType, vnet.headerLength, vnet.gsoSize, vnet.checksumStart, vnet.checksumOffset, vnet.buffers],
    setters: [[vnet.setFlags, vnet.flags]],
  },
};

/** 'tcp.sequence', 'tcp.setSequence' … of every file. */
export function fieldNames(): string[] {
  return Object.entries(WIRE_FILES).flatMap(([file, { readers, setters }]) =>
    [...readers, ...setters.map(([setter]) => setter)].map(({ name }) => `${file}.${name}`),
  );
}
