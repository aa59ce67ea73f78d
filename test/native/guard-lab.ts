/**
 * A host and a peer on one link. The host has a stack with two addresses and a packet socket on the same interface, the peer only a socket:
 *
 *     peer ── veth1 ════ veth0 ─┬─ packet socket of a gateway (what the guard's filter lets in)
 *                               └─ host's stack 192.0.2.1, 192.0.2.9 (what its ingress lets by)
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { addAddress } from '../../src/netlink/address.js';
import { createVeth, getLink } from '../../src/netlink/link.js';
import { setPermanentNeighbor } from '../../src/netlink/neighbor.js';
import * as arp from '../../src/wire/arp.js';
import * as checksum from '../../src/wire/checksum.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as tcp from '../../src/wire/tcp.js';
import * as udp from '../../src/wire/udp.js';
import { Bench, binding, inside, joined, Kind, Network, PLAIN } from './lab.js';

export const HOST = '192.0.2.1';
export const HOST_SECOND = '192.0.2.9';
/** An address of the host that no guard is told of. */
export const HOST_OTHER = '192.0.2.77';
export const PEER = '192.0.2.2';
const HOST_MAC = '02:00:00:00:00:01';
const PEER_MAC = '02:00:00:00:00:02';
const STRANGER_MAC = '02:00:00:00:00:99';

const PEER_PORT = 0;
const HOST_PORT = 1;

/** Who got a frame, and what the peer heard of it. */
export interface Outcome {
  /** The packet socket: the gateway. */
  gateway: boolean;
  /** The host's stack, by its count of IPv4 packets. */
  stack: boolean;
  /** 'rst', 'icmp 3/3' ... */
  answers: string[];
}

/** Ours alone: the stack saw nothing and said nothing. */
export const GATEWAY: Outcome = { gateway: true, stack: false, answers: [] };
export const STACK: Outcome = { gateway: false, stack: true, answers: [] };
export const BOTH: Outcome = { gateway: true, stack: true, answers: [] };

export class GuardLab {
  readonly host = new Network();
  readonly peer = new Network();
  readonly index: number;
  readonly socket: number;
  private readonly peerSocket: number;
  private readonly bench = new Bench();

  constructor() {
    const { netlink } = this.host;
    createVeth(netlink, { name: 'veth0', mac: HOST_MAC }, { name: 'veth1', mac: PEER_MAC, netns: this.peer.netns });
    this.peer.up('veth1');
    this.host.up('veth0');
    this.index = getLink(netlink, 'veth0').index;
    for (const address of [HOST, HOST_SECOND, HOST_OTHER]) addAddress(netlink, this.index, address, 24);
    setPermanentNeighbor(netlink, this.index, PEER, PEER_MAC);
    // Each answer shall be heard.
    inside(this.host.netns, () => writeFileSync('/proc/sys/net/ipv4/icmp_ratelimit', '0'));
    const options = { interface: 'veth0', netns: this.host.netns, vnetHeader: true, promiscuous: false, ignoreOutgoing: true };
    this.socket = binding.openPacket(options);
    this.peerSocket = this.peer.packet('veth1');
    this.bench.add(PEER_PORT, this.peerSocket, Kind.packet);
    this.bench.add(HOST_PORT, this.socket, Kind.packet);
  }

  /** Sends a frame from the peer, and behind it an ARP request to the host: its answer comes behind every other. */
  offer(bytes: Uint8Array): Outcome {
    const before = this.received();
    this.bench.describe(PEER_PORT, joined(PLAIN, bytes));
    this.bench.describe(PEER_PORT, joined(PLAIN, ask()));
    if (this.bench.send().length > 0) throw new Error('the peer cannot send');
    const outcome: Outcome = { gateway: false, stack: false, answers: [] };
    for (let asked = false, answered = false; !asked || !answered; ) {
      const frames = this.bench.pull(1);
      if (frames.length === 0) throw new Error('the ARP request behind the frame was not heard, or not answered');
      for (const { port, bytes: heard } of frames) {
        const isArp = ethernet.etherType(heard, 0) === ethernet.EtherType.arp;
        if (port === HOST_PORT && isArp && arp.operation(heard, 14) === arp.Operation.request) asked = true;
        else if (port === HOST_PORT) outcome.gateway = true;
        else if (isArp) answered = true;
        else outcome.answers.push(describe(heard));
      }
    }
    outcome.stack = this.received() > before;
    return outcome;
  }

  close(): void {
    this.bench.io.close();
    binding.closeDescriptor(this.socket);
    binding.closeDescriptor(this.peerSocket);
    this.host.close();
    this.peer.close();
  }

  private received(): number {
    const lines = inside(this.host.netns, () => readFileSync('/proc/thread-self/net/snmp', 'latin1')).split('\n');
    const [names, values] = lines.filter((line) => line.startsWith('Ip:')).map((line) => line.split(' '));
    return Number(values![names!.indexOf('InReceives')]);
  }
}

function ask(): Uint8Array {
  const bytes = new Uint8Array(60);
  ethernet.emit(bytes, 0, { destination: 'ff:ff:ff:ff:ff:ff', source: PEER_MAC, etherType: ethernet.EtherType.arp });
  const sender = { senderMac: PEER_MAC, senderIp: PEER };
  arp.emit(bytes, 14, { operation: arp.Operation.request, ...sender, targetMac: '00:00:00:00:00:00', targetIp: HOST });
  return bytes;
}

/** The peer's answer to an ARP request of the host, or of another machine. */
export function arpReply(to: 'host' | 'stranger'): Uint8Array {
  const bytes = new Uint8Array(60);
  const destination = to === 'host' ? HOST_MAC : STRANGER_MAC;
  ethernet.emit(bytes, 0, { destination, source: PEER_MAC, etherType: ethernet.EtherType.arp });
  const target = { targetMac: destination, targetIp: HOST };
  arp.emit(bytes, 14, { operation: arp.Operation.reply, senderMac: PEER_MAC, senderIp: PEER, ...target });
  return bytes;
}

function describe(bytes: Uint8Array): string {
  const l4 = 14 + ipv4.headerBytes(bytes, 14);
  if (ipv4.protocol(bytes, 14) === ipv4.Protocol.icmp) return `icmp ${bytes[l4]}/${bytes[l4 + 1]}`;
  if (ipv4.protocol(bytes, 14) === ipv4.Protocol.tcp) return (tcp.flags(bytes, l4) & tcp.Flag.rst) !== 0 ? 'rst' : 'tcp';
  return `protocol ${ipv4.protocol(bytes, 14)}`;
}

export interface IpSpec {
  protocol: number;
  body: Uint8Array;
  source?: string;
  destination?: string;
  /** Of IPv4, a multiple of 4 bytes. */
  options?: number;
  fragment?: { offset?: number; more?: boolean };
  identification?: number;
}

/** An IPv4 packet from the peer to the host, its TCP or UDP checksum filled in. */
export function ip(spec: IpSpec): Uint8Array {
  const { protocol, body, source = PEER, destination = HOST, options = 0, fragment = {} } = spec;
  const headerBytes = ipv4.HEADER_BYTES + options;
  const bytes = new Uint8Array(headerBytes + body.length);
  bytes.fill(1, ipv4.HEADER_BYTES, headerBytes); // no-operation
  ipv4.emit(bytes, 0, {
    headerBytes,
    tos: 0,
    totalLength: bytes.length,
    identification: spec.identification ?? 7,
    dontFragment: false,
    moreFragments: fragment.more ?? false,
    fragmentOffset: fragment.offset ?? 0,
    ttl: 64,
    protocol,
    source,
    destination,
  });
  ipv4.fillHeaderChecksum(bytes, 0);
  bytes.set(body, headerBytes);
  const field = protocol === ipv4.Protocol.tcp ? tcp.CHECKSUM : protocol === ipv4.Protocol.udp ? udp.CHECKSUM : -1;
  // Quotes may end before it.
  if (field >= 0 && field + 2 <= body.length && (fragment.offset ?? 0) === 0) {
    const pseudo = checksum.pseudoIpv4(bytes, 0, protocol, body.length);
    const full = checksum.finish(checksum.sum(bytes, headerBytes, body.length, pseudo));
    bytes.set([full >> 8, full & 0xff], headerBytes + field);
  }
  return bytes;
}

/** In a frame to the host, or to another machine on the link. */
export function framed(packet: Uint8Array, to: 'host' | 'stranger' | 'all' = 'host', vid = -1): Uint8Array {
  const bytes = new Uint8Array(Math.max(60, 14 + packet.length));
  const destination = { host: HOST_MAC, stranger: STRANGER_MAC, all: 'ff:ff:ff:ff:ff:ff' }[to];
  ethernet.emit(bytes, 0, { destination, source: PEER_MAC, etherType: ethernet.EtherType.ipv4 });
  bytes.set(packet, 14);
  return vid < 0 ? bytes : joined(bytes.subarray(0, 12), new Uint8Array([0x81, 0, vid >> 8, vid & 0xff]), bytes.subarray(12));
}

export function tcpBody(sourcePort: number, destinationPort: number, flags: number = tcp.Flag.syn): Uint8Array {
  const bytes = new Uint8Array(tcp.HEADER_BYTES);
  const rest = { sequence: 1, acknowledgment: 2, headerBytes: tcp.HEADER_BYTES, window: 500, checksum: 0, urgentPointer: 0 };
  tcp.emit(bytes, 0, { sourcePort, destinationPort, flags, ...rest });
  return bytes;
}

export function udpBody(sourcePort: number, destinationPort: number, length = 26): Uint8Array {
  const bytes = new Uint8Array(length).fill(0x61);
  udp.emit(bytes, 0, { sourcePort, destinationPort, length, checksum: 0 });
  return bytes;
}

/** An echo, a timestamp ...: header, identifier, `extra` bytes. */
export function queryBody(type: number, identifier: number, extra = 20): Uint8Array {
  const bytes = new Uint8Array(8 + extra);
  icmp.setType(bytes, 0, type);
  icmp.setIdentifier(bytes, 0, identifier);
  icmp.fillChecksum(bytes, 0, bytes.length);
  return bytes;
}

/** An ICMP error that quotes the first bytes of a packet. */
export function errorBody(type: number, quoted: Uint8Array, code = 0): Uint8Array {
  const bytes = joined(new Uint8Array(8), quoted);
  icmp.setType(bytes, 0, type);
  icmp.setCode(bytes, 0, code);
  icmp.fillChecksum(bytes, 0, bytes.length);
  return bytes;
}
