/**
 * One line about a frame, in the words of `tcpdump -e -nn -S -t` (4.99), so that what people know how to read needs no new eyes and the
 * tests have an outside oracle.
 *
 * Total: any bytes of any length give a line, never an exception, and no byte outside [at, at + length) is looked at. Where bytes are
 * missing the line ends with the layer's name in brackets, as `[|tcp]`. Not for the hot path: it makes strings.
 */
import * as arp from './arp.js';
import * as ethernet from './ethernet.js';
import * as icmp from './icmp.js';
import * as ipv4 from './ipv4.js';
import { formatIpv4, readIpv4 } from './ipv4-address.js';
import * as ipv6 from './ipv6.js';
import { formatMac, macHigh, macLow } from './mac-address.js';
import * as tcp from './tcp.js';
import * as udp from './udp.js';
import * as vlan from './vlan.js';

const ETHER_TYPE_NAMES: Record<number, string> = {
  [ethernet.EtherType.ipv4]: 'IPv4',
  [ethernet.EtherType.arp]: 'ARP',
  [ethernet.EtherType.rarp]: 'Reverse ARP',
  [ethernet.EtherType.vlan]: '802.1Q',
  [ethernet.EtherType.ipv6]: 'IPv6',
  [ethernet.EtherType.mplsUnicast]: 'MPLS unicast',
  [ethernet.EtherType.serviceVlan]: '802.1Q-QinQ',
  [ethernet.EtherType.lldp]: 'LLDP',
};

const PROTOCOL_NAMES: Record<number, string> = {
  [ipv4.Protocol.icmp]: 'icmp',
  [ipv4.Protocol.igmp]: 'igmp',
  [ipv4.Protocol.tcp]: 'tcp',
  [ipv4.Protocol.udp]: 'udp',
  [ipv4.Protocol.ipv6]: 'ipv6',
  [ipv4.Protocol.gre]: 'gre',
  [ipv4.Protocol.icmpv6]: 'ipv6-icmp',
  [ipv4.Protocol.sctp]: 'sctp',
};

/** tcpdump's letters, lowest bit first: FIN SYN RST PSH ACK URG ECE CWR. */
const TCP_FLAG_LETTERS = 'FSRP.UEW';

function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}

function typeText(type: number): string {
  return `ethertype ${ETHER_TYPE_NAMES[type] ?? 'Unknown'} (${hex16(type)})`;
}

function protocolText(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? `ip-proto-${protocol}`;
}

function macText(bytes: Uint8Array, at: number): string {
  return formatMac(macHigh(bytes, at), macLow(bytes, at));
}

function describeArp(bytes: Uint8Array, at: number, length: number): string {
  if (length < 8) {
    return '[|arp]';
  }
  if (!arp.check(bytes, at, length)) {
    return length < arp.PACKET_BYTES ? '[|arp]' : `Unknown ARP, length ${length}`;
  }
  const packet = arp.parse(bytes, at);
  const knowsTarget = (arp.targetMacHigh(bytes, at) | arp.targetMacLow(bytes, at)) !== 0;
  switch (packet.operation) {
    case arp.Operation.request:
      return `Request who-has ${packet.targetIp}${knowsTarget ? ` (${packet.targetMac})` : ''} tell ${packet.senderIp}, length ${length}`;
    case arp.Operation.reply:
      return `Reply ${packet.senderIp} is-at ${packet.senderMac}, length ${length}`;
    default:
      return `ARP operation ${packet.operation}, length ${length}`;
  }
}

function tcpOptionText(bytes: Uint8Array, option: tcp.TcpOption): string {
  const { kind, length, at } = option;
  const number32 = (offset: number) => readIpv4(bytes, at + offset) >>> 0;
  switch (kind) {
    case tcp.OptionKind.end:
      return 'eol';
    case tcp.OptionKind.nop:
      return 'nop';
    case tcp.OptionKind.mss:
      return length === 4 ? `mss ${(bytes[at + 2] << 8) | bytes[at + 3]}` : 'mss [bad length]';
    case tcp.OptionKind.windowScale:
      return length === 3 ? `wscale ${bytes[at + 2]}` : 'wscale [bad length]';
    case tcp.OptionKind.sackPermitted:
      return 'sackOK';
    case tcp.OptionKind.sack: {
      const blocks: string[] = [];
      for (let offset = 2; offset + 8 <= length; offset += 8) {
        blocks.push(`{${number32(offset)}:${number32(offset + 4)}}`);
      }
      return `sack ${blocks.length} ${blocks.join('')}`;
    }
    case tcp.OptionKind.timestamps:
      return length === 10 ? `TS val ${number32(2)} ecr ${number32(6)}` : 'TS [bad length]';
    default:
      return `unknown-${kind}`;
  }
}

/** `length`: bytes from the TCP header to the packet's end as IP says; `present`: those that are there. */
function describeTcp(bytes: Uint8Array, at: number, length: number, present: number): string {
  if (!tcp.check(bytes, at, present)) {
    return present >= 14 && tcp.headerBytes(bytes, at) < tcp.HEADER_BYTES
      ? `tcp ${length} [bad hdr length ${tcp.headerBytes(bytes, at)} - too short, < ${tcp.HEADER_BYTES}]`
      : '[|tcp]';
  }
  const header = tcp.parse(bytes, at);
  const data = length - header.headerBytes;
  const letters = [...TCP_FLAG_LETTERS].filter((_, bit) => (header.flags >>> bit) & 1).join('');
  const parts = [`Flags [${letters === '' ? 'none' : letters}]`];
  if (data > 0) {
    parts.push(`seq ${header.sequence}:${(header.sequence + data) >>> 0}`);
  } else if (header.flags & (tcp.Flag.syn | tcp.Flag.fin | tcp.Flag.rst)) {
    parts.push(`seq ${header.sequence}`);
  }
  if (header.flags & tcp.Flag.ack) {
    parts.push(`ack ${header.acknowledgment}`);
  }
  parts.push(`win ${header.window}`);
  if (header.flags & tcp.Flag.urg) {
    parts.push(`urg ${header.urgentPointer}`);
  }
  if (header.headerBytes > tcp.HEADER_BYTES) {
    const options = tcp.parseOptions(bytes, at).map((option) => tcpOptionText(bytes, option));
    parts.push(`options [${options.join(',')}]`);
  }
  parts.push(`length ${data}`);
  return parts.join(', ');
}

/** TCP and UDP with both ends; behind an IPv6 fragment header, where the addresses were printed before, they are empty. */
function describePorts(
  bytes: Uint8Array,
  at: number,
  length: number,
  present: number,
  protocol: number,
  source: string,
  destination: string,
): string {
  if (present < 4) {
    return `${source} > ${destination}: [|${protocolText(protocol)}]`;
  }
  const end = (address: string, port: number) => (address === '' ? `${port}` : `${address}.${port}`);
  const ends = `${end(source, udp.sourcePort(bytes, at))} > ${end(destination, udp.destinationPort(bytes, at))}: `;
  if (protocol === ipv4.Protocol.tcp) {
    return ends + describeTcp(bytes, at, length, present);
  }
  if (present < udp.HEADER_BYTES) {
    return `${ends}[|udp]`;
  }
  const datagram = udp.datagramLength(bytes, at);
  return datagram < udp.HEADER_BYTES ? `${ends}UDP, bad length ${datagram}` : `${ends}UDP, length ${datagram - udp.HEADER_BYTES}`;
}

function describeIcmp(bytes: Uint8Array, at: number, length: number, present: number): string {
  if (!icmp.check(present)) {
    return '[|icmp]';
  }
  const { type, code, identifier, sequence } = icmp.parse(bytes, at);
  const quoted = at + icmp.HEADER_BYTES;
  const quotedBytes = present - icmp.HEADER_BYTES;
  const quotes = quotedBytes >= ipv4.HEADER_BYTES;
  const tail = `, length ${length}`;
  switch (type) {
    case icmp.Type.echoRequest:
      return `ICMP echo request, id ${identifier}, seq ${sequence}${tail}`;
    case icmp.Type.echoReply:
      return `ICMP echo reply, id ${identifier}, seq ${sequence}${tail}`;
    case icmp.Type.timeExceeded:
      return `ICMP ${code === 0 ? 'time exceeded in-transit' : 'ip reassembly time exceeded'}${tail}`;
    case icmp.Type.unreachable: {
      if (!quotes) {
        return `ICMP unreachable, code ${code}${tail}`;
      }
      const target = formatIpv4(ipv4.destination(bytes, quoted));
      const protocol = ipv4.protocol(bytes, quoted);
      const header = ipv4.headerBytes(bytes, quoted);
      switch (code) {
        case icmp.Unreachable.network:
          return `ICMP net ${target} unreachable${tail}`;
        case icmp.Unreachable.host:
          return `ICMP host ${target} unreachable${tail}`;
        case icmp.Unreachable.protocol:
          return `ICMP ${target} protocol ${protocol} unreachable${tail}`;
        case icmp.Unreachable.port:
          return header >= ipv4.HEADER_BYTES && quotedBytes >= header + 4
            ? `ICMP ${target} ${protocolText(protocol)} port ${udp.destinationPort(bytes, quoted + header)} unreachable${tail}`
            : `ICMP ${target} port unreachable${tail}`;
        case icmp.Unreachable.fragmentationNeeded:
          return `ICMP ${target} unreachable - need to frag${sequence === 0 ? '' : ` (mtu ${sequence})`}${tail}`;
        case icmp.Unreachable.prohibited:
          return `ICMP host ${target} unreachable - admin prohibited filter${tail}`;
        default:
          return `ICMP ${target} unreachable, code ${code}${tail}`;
      }
    }
    default:
      return `ICMP type-#${type}, code ${code}${tail}`;
  }
}

function describeIcmpV6(bytes: Uint8Array, at: number, length: number, present: number): string {
  if (present < 4) {
    return '[|icmp6]';
  }
  const type = icmp.type(bytes, at);
  const tail = `, length ${length}`;
  const target = at + icmp.HEADER_BYTES;
  const names: Record<number, string> = {
    [icmp.TypeV6.routerSolicitation]: 'router solicitation',
    [icmp.TypeV6.routerAdvertisement]: 'router advertisement',
  };
  switch (type) {
    case icmp.TypeV6.echoRequest:
    case icmp.TypeV6.echoReply: {
      if (!icmp.check(present)) {
        return '[|icmp6]';
      }
      const { identifier, sequence } = icmp.parse(bytes, at);
      return `ICMP6, echo ${type === icmp.TypeV6.echoRequest ? 'request' : 'reply'}, id ${identifier}, seq ${sequence}${tail}`;
    }
    case icmp.TypeV6.neighborSolicitation:
    case icmp.TypeV6.neighborAdvertisement: {
      if (present < icmp.HEADER_BYTES + ipv6.IPV6_ADDRESS_BYTES) {
        return '[|icmp6]';
      }
      const verb =
        type === icmp.TypeV6.neighborSolicitation ? 'neighbor solicitation, who has' : 'neighbor advertisement, tgt is';
      return `ICMP6, ${verb} ${ipv6.formatIpv6(bytes, target)}${tail}`;
    }
    case icmp.TypeV6.listenerReportV2:
      return icmp.check(present)
        ? `ICMP6, multicast listener report v2, ${icmp.sequence(bytes, at)} group record(s)${tail}`
        : '[|icmp6]';
    default:
      return `ICMP6, ${names[type] ?? `type-#${type}, code ${icmp.code(bytes, at)}`}${tail}`;
  }
}

function describeIpv4(bytes: Uint8Array, at: number, length: number): string {
  if (length < ipv4.HEADER_BYTES) {
    return '[|ip]';
  }
  const fault = ipv4.check(bytes, at, length);
  if (fault === ipv4.Fault.version) {
    return `IP${ipv4.version(bytes, at)} in an IPv4 frame`;
  }
  const header = ipv4.headerBytes(bytes, at);
  if (header < ipv4.HEADER_BYTES) {
    return `IP bad-hlen ${header}`;
  }
  const total = ipv4.totalLength(bytes, at);
  if (total < header) {
    return `IP bad-len ${total}`;
  }
  const source = formatIpv4(ipv4.source(bytes, at));
  const destination = formatIpv4(ipv4.destination(bytes, at));
  const protocol = ipv4.protocol(bytes, at);
  const l4 = at + header;
  const l4Length = total - header;
  const present = Math.min(l4Length, length - header);
  if (ipv4.fragmentOffset(bytes, at) !== 0) {
    return `${source} > ${destination}: ip-proto-${protocol}`;
  }
  switch (protocol) {
    case ipv4.Protocol.tcp:
    case ipv4.Protocol.udp:
      return describePorts(bytes, l4, l4Length, present, protocol, source, destination);
    case ipv4.Protocol.icmp:
      return `${source} > ${destination}: ${describeIcmp(bytes, l4, l4Length, present)}`;
    default:
      return `${source} > ${destination}: ${protocolText(protocol)} ${l4Length}`;
  }
}

const SOURCE_V6 = 8;
const DESTINATION_V6 = SOURCE_V6 + ipv6.IPV6_ADDRESS_BYTES;

/** `total`: bytes of the packet as it says; `here`: those that are there. The fragment header is the first extension header. */
function describeIpv6Fragment(bytes: Uint8Array, at: number, total: number, here: number): string {
  const fragment = at + ipv6.HEADER_BYTES;
  const upper = ipv6.upper(bytes, at, here);
  if (upper < 0) {
    return '[|frag]';
  }
  const offset = (bytes[fragment + 2] << 8) | (bytes[fragment + 3] & 0xf8);
  const data = total - ipv6.HEADER_BYTES - ipv6.FRAGMENT_BYTES;
  const text = `frag (${offset}|${data})`;
  const distance = upper >>> 8;
  const protocol = upper & 0xff;
  if (offset !== 0 || (protocol !== ipv4.Protocol.udp && protocol !== ipv4.Protocol.tcp)) {
    return text;
  }
  return `${text} ${describePorts(bytes, at + distance, total - distance, here - distance, protocol, '', '')}`;
}

function describeIpv6(bytes: Uint8Array, at: number, length: number): string {
  if (length < ipv6.HEADER_BYTES) {
    return '[|ip6]';
  }
  if (ipv6.check(bytes, at, length) === ipv6.Fault.version) {
    return `IP${bytes[at] >>> 4} in an IPv6 frame`;
  }
  const source = ipv6.formatIpv6(bytes, at + SOURCE_V6);
  const destination = ipv6.formatIpv6(bytes, at + DESTINATION_V6);
  const total = ipv6.HEADER_BYTES + ipv6.payloadLength(bytes, at);
  const here = Math.min(total, length);
  const upper = ipv6.upper(bytes, at, here);
  const first = ipv6.nextHeader(bytes, at);
  const prefix = first === ipv6.Extension.hopByHop ? 'HBH ' : '';
  if (first === ipv6.Extension.fragment) {
    return `${source} > ${destination}: ${describeIpv6Fragment(bytes, at, total, here)}`;
  }
  if (upper < 0) {
    return `${source} > ${destination}: ${prefix}[|ip6]`;
  }
  const distance = upper >>> 8;
  const protocol = upper & 0xff;
  const l4 = at + distance;
  const l4Length = total - distance;
  const present = here - distance;
  switch (protocol) {
    case ipv4.Protocol.tcp:
    case ipv4.Protocol.udp:
      return describePorts(bytes, l4, l4Length, present, protocol, source, destination);
    case ipv4.Protocol.icmpv6:
      return `${source} > ${destination}: ${prefix}${describeIcmpV6(bytes, l4, l4Length, present)}`;
    case ipv6.Extension.fragment:
      return `${source} > ${destination}: ${prefix}frag`;
    case ipv6.Extension.noNext:
      return `${source} > ${destination}: ${prefix}no next header`;
    default:
      return `${source} > ${destination}: ${prefix}${protocolText(protocol)} ${l4Length}`;
  }
}

/** What lies behind the ethernet header and the tags. */
function describePayload(bytes: Uint8Array, at: number, length: number, type: number): string {
  switch (type) {
    case ethernet.EtherType.arp:
      return describeArp(bytes, at, length);
    case ethernet.EtherType.ipv4:
      return describeIpv4(bytes, at, length);
    case ethernet.EtherType.ipv6:
      return describeIpv6(bytes, at, length);
    default:
      return `${length} bytes`;
  }
}

/** One line, without a line end, about the frame of `length` bytes whose ethernet header lies at `at`. */
export function describe(bytes: Uint8Array, at: number, length: number): string {
  if (!ethernet.check(length)) {
    return `[|ether], length ${Math.max(length, 0)}`;
  }
  const source = macText(bytes, at + 6);
  const destination = macText(bytes, at);
  let type = ethernet.etherType(bytes, at);
  let line = `${source} > ${destination}, `;
  line += type <= ethernet.LENGTH_MAX ? `802.3, length ${length}: ` : `${typeText(type)}, length ${length}: `;
  const l3 = vlan.l3Offset(bytes, at, length);
  if (l3 < 0) {
    return `${line}[|vlan]`;
  }
  for (let tagAt = at + ethernet.HEADER_BYTES - 2; tagAt + 2 < l3; tagAt += vlan.TAG_BYTES) {
    const tag = vlan.parse(bytes, tagAt);
    type = (bytes[tagAt + 4] << 8) | bytes[tagAt + 5];
    line += `vlan ${tag.vid}, p ${tag.priority}${tag.dropEligible ? ', DEI' : ''}, ${typeText(type)}, `;
  }
  return line + describePayload(bytes, l3, length - (l3 - at), type);
}
