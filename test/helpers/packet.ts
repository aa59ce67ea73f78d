/** Frames for tests, made with the wire formats (which are held against other programs' frames in test/wire). */
import * as checksum from '../../src/wire/checksum.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as ipv6 from '../../src/wire/ipv6.js';
import * as tcp from '../../src/wire/tcp.js';
import * as udp from '../../src/wire/udp.js';
import * as vlan from '../../src/wire/vlan.js';
import * as vnet from '../../src/wire/vnet-header.js';

export interface PacketOptions {
  version?: 4 | 6;
  protocol?: 'tcp' | 'udp';
  payload?: Uint8Array;
  vid?: number;
  destination?: string;
  source?: string;
  ipSource?: string;
  ipDestination?: string;
  sourcePort?: number;
  destinationPort?: number;
  identification?: number;
  dontFragment?: boolean;
  ttl?: number;
  tos?: number;
  sequence?: number;
  flags?: number;
  /** Bytes of TCP options, a multiple of 4. */
  tcpOptions?: number[];
  /** Leave the checksum to be finished, and say so in the vnet header. */
  partial?: boolean;
  /** A super-frame of segments of this size; implies `partial`. */
  gsoSize?: number;
}

/** A frame and the vnet header that goes in front of it. */
export interface Packet {
  frame: Uint8Array;
  vnet: Uint8Array;
}

/** Bytes that differ from their neighbours and between seeds. */
export function payload(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8) + seed * 31) & 0xff);
}

export function makePacket(options: PacketOptions = {}): Packet {
  const { version = 4, protocol = 'udp', payload: data = payload(18), vid = -1, gsoSize = 0, tcpOptions = [] } = options;
  const partial = options.partial === true || gsoSize > 0;
  const isTcp = protocol === 'tcp';
  const l3 = ethernet.HEADER_BYTES + (vid >= 0 ? vlan.TAG_BYTES : 0);
  const l4 = l3 + (version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES);
  const l4Header = isTcp ? tcp.HEADER_BYTES + tcpOptions.length : udp.HEADER_BYTES;
  const l4Length = l4Header + data.length;
  const number = isTcp ? ipv4.Protocol.tcp : ipv4.Protocol.udp;
  const type = version === 4 ? ethernet.EtherType.ipv4 : ethernet.EtherType.ipv6;
  const frame = new Uint8Array(l4 + l4Length);
  ethernet.emit(frame, 0, {
    destination: options.destination ?? '02:00:00:00:00:0b',
    source: options.source ?? '02:00:00:00:00:0a',
    etherType: vid >= 0 ? ethernet.EtherType.vlan : type,
  });
  if (vid >= 0) {
    vlan.emit(frame, 12, { tpid: ethernet.EtherType.vlan, priority: 0, dropEligible: false, vid });
    ethernet.setEtherType(frame, vlan.TAG_BYTES, type);
  }
  if (version === 4) {
    ipv4.emit(frame, l3, {
      headerBytes: ipv4.HEADER_BYTES,
      tos: options.tos ?? 0,
      totalLength: ipv4.HEADER_BYTES + l4Length,
      identification: options.identification ?? 0x1234,
      dontFragment: options.dontFragment ?? true,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: options.ttl ?? 64,
      protocol: number,
      source: options.ipSource ?? '10.9.0.1',
      destination: options.ipDestination ?? '10.9.0.2',
    });
  } else {
    ipv6.emit(frame, l3, {
      trafficClass: options.tos ?? 0,
      flowLabel: 0,
      payloadLength: l4Length,
      nextHeader: number,
      hopLimit: options.ttl ?? 64,
      source: options.ipSource ?? 'fd00:9::1',
      destination: options.ipDestination ?? 'fd00:9::2',
    });
  }
  const ports = { sourcePort: options.sourcePort ?? 40001, destinationPort: options.destinationPort ?? 9001 };
  if (isTcp) {
    tcp.emit(frame, l4, {
      ...ports,
      sequence: options.sequence ?? 1000,
      acknowledgment: 77,
      headerBytes: l4Header,
      flags: options.flags ?? tcp.Flag.ack,
      window: 500,
      checksum: 0,
      urgentPointer: 0,
    });
    frame.set(tcpOptions, l4 + tcp.HEADER_BYTES);
  } else {
    udp.emit(frame, l4, { ...ports, length: l4Length, checksum: 0 });
  }
  frame.set(data, l4 + l4Header);
  const pseudo =
    version === 4 ? checksum.pseudoIpv4(frame, l3, number, l4Length) : checksum.pseudoIpv6(frame, l3, number, l4Length);
  const full = checksum.finish(checksum.sum(frame, l4, l4Length, pseudo));
  const field = partial ? pseudo : full === 0 && !isTcp ? 0xffff : full;
  const offset = isTcp ? tcp.CHECKSUM : udp.CHECKSUM;
  frame[l4 + offset] = field >>> 8;
  frame[l4 + offset + 1] = field;

  const header = new Uint8Array(vnet.HEADER_BYTES);
  if (partial) {
    const gso = isTcp ? (version === 4 ? vnet.GsoType.tcpv4 : vnet.GsoType.tcpv6) : vnet.GsoType.udpL4;
    vnet.write(header, 0, 1, gsoSize > 0 ? gso : 0, l4 + l4Header, gsoSize, l4, offset);
  }
  return { frame, vnet: header };
}
