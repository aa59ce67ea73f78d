/** Short names for the frames of the simulations. */
import * as arp from '../../src/wire/arp.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as vlan from '../../src/wire/vlan.js';

export const BROADCAST = 'ff:ff:ff:ff:ff:ff';
export const ZERO_MAC = '00:00:00:00:00:00';
export const MULTICAST = '01:00:5e:00:00:fb';
/** A host that is nowhere. */
export const NOBODY = '02:99:99:99:99:99';
export const GATEWAY_MAC = '02:00:00:00:aa:01';

/** An EtherType nobody looks into (802-2014, 9.2.3: for local experiments). */
export const EXPERIMENT = 0x88b5;

/** Address of host n. */
export function macOf(n: number): string {
  const octet = (shift: number) => ((n >> shift) & 0xff).toString(16).padStart(2, '0');
  return `02:00:00:${octet(16)}:${octet(8)}:${octet(0)}`;
}

export function ipOf(n: number): string {
  return `10.0.0.${n}`;
}

/** An ethernet frame; the payload defaults to 46 bytes that tell frames with different `label`s apart. */
export function frame(destination: string, source: string, label = 0, etherType: number = EXPERIMENT): Uint8Array {
  const bytes = new Uint8Array(ethernet.HEADER_BYTES + 46);
  ethernet.emit(bytes, 0, { destination, source, etherType });
  new DataView(bytes.buffer).setUint32(ethernet.HEADER_BYTES, label);
  return bytes;
}

/** The label `frame` was made with. */
export function labelOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(ethernet.HEADER_BYTES);
}

/** The frame with an 802.1Q tag behind its addresses. */
export function tagged(bytes: Uint8Array, vid: number, priority = 0): Uint8Array {
  const longer = new Uint8Array(bytes.length + vlan.TAG_BYTES);
  longer.set(bytes.subarray(0, 12));
  vlan.emit(longer, 12, { tpid: ethernet.EtherType.vlan, priority, dropEligible: false, vid });
  longer.set(bytes.subarray(12), 16);
  return longer;
}

export interface ArpOptions {
  operation?: number;
  senderMac: string;
  senderIp: string;
  targetMac?: string;
  targetIp: string;
  /** Of the ethernet header; the sender's by default. */
  source?: string;
  /** Of the ethernet header; broadcast by default. */
  destination?: string;
}

export function arpFrame(options: ArpOptions): Uint8Array {
  const { operation = arp.Operation.request, senderMac, senderIp, targetMac = ZERO_MAC, targetIp } = options;
  const bytes = new Uint8Array(ethernet.HEADER_BYTES + arp.PACKET_BYTES);
  const { destination = BROADCAST, source = senderMac } = options;
  ethernet.emit(bytes, 0, { destination, source, etherType: ethernet.EtherType.arp });
  arp.emit(bytes, ethernet.HEADER_BYTES, { operation, senderMac, senderIp, targetMac, targetIp });
  return bytes;
}

/** Host `asker` wants to know who has the address. */
export function whoHas(targetIp: string, asker: number): Uint8Array {
  return arpFrame({ senderMac: macOf(asker), senderIp: ipOf(asker), targetIp });
}

/** RFC 5227, 1.1: a request with sender address 0.0.0.0. */
export function probe(targetIp: string, asker: number): Uint8Array {
  return arpFrame({ senderMac: macOf(asker), senderIp: '0.0.0.0', targetIp });
}

/** RFC 5227, 1.1: a request with both addresses the sender's. */
export function announcement(host: number, ip = ipOf(host)): Uint8Array {
  return arpFrame({ senderMac: macOf(host), senderIp: ip, targetIp: ip });
}

export function arpReply(options: ArpOptions): Uint8Array {
  return arpFrame({ operation: arp.Operation.reply, ...options });
}

/** An ARP frame as text: `reply 10.0.0.1 (02:…01) to 10.0.0.2 (02:…02), frame 02:…01 > 02:…02`. */
export function readArp(bytes: Uint8Array): string {
  const { destination, source, etherType } = ethernet.parse(bytes, 0);
  if (etherType !== ethernet.EtherType.arp) {
    return 'no ARP';
  }
  const packet = arp.parse(bytes, ethernet.HEADER_BYTES);
  const name = packet.operation === arp.Operation.reply ? 'reply' : packet.operation === 1 ? 'request' : `${packet.operation}`;
  return `${name} ${packet.senderIp} (${packet.senderMac}) to ${packet.targetIp} (${packet.targetMac}), frame ${source} > ${destination}`;
}
