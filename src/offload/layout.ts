/**
 * Where the headers of a frame that wants an offload lie: found by parsing, because hdr_len is only a hint (F.1) and csum_start comes
 * from whoever sent the frame.
 */
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import * as ipv6 from '../wire/ipv6.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vlan from '../wire/vlan.js';

/** Columns of a layout. Offsets are arena offsets. */
export const Layout = {
  /** 4 or 6. */
  version: 0,
  /** The IP header. */
  l3: 1,
  /** The TCP or UDP header. */
  l4: 2,
  /** The first byte behind it. */
  payload: 3,
  /** 6 or 17. */
  protocol: 4,
} as const;

/** Fresh memory for `locate`; make one per module, not per frame. */
export function createLayout(): Int32Array {
  return new Int32Array(5);
}

/**
 * Fills `layout` for a TCP or UDP packet over IPv4 or IPv6, with up to two VLAN tags, whose headers lie whole in the frame. Lengths
 * inside the headers are not compared with the frame's. False for everything else, a fragment included.
 */
export function locate(bytes: Uint8Array, at: number, length: number, layout: Int32Array): boolean {
  if (!ethernet.check(length)) {
    return false;
  }
  const l3 = vlan.l3Offset(bytes, at, length);
  if (l3 < 0) {
    return false;
  }
  const end = at + length;
  const type = ethernet.etherType(bytes, l3 - ethernet.HEADER_BYTES);
  let l4 = -1;
  let protocol = -1;
  if (type === ethernet.EtherType.ipv4) {
    const header = end - l3 < ipv4.HEADER_BYTES ? 0 : ipv4.headerBytes(bytes, l3);
    if (header < ipv4.HEADER_BYTES || ipv4.version(bytes, l3) !== 4 || ipv4.isFragment(bytes, l3)) {
      return false;
    }
    l4 = l3 + header;
    protocol = ipv4.protocol(bytes, l3);
    layout[Layout.version] = 4;
  } else if (type === ethernet.EtherType.ipv6) {
    if (end - l3 < ipv6.HEADER_BYTES || ipv6.version(bytes, l3) !== 6) {
      return false;
    }
    const upper = ipv6.upper(bytes, l3, end - l3);
    if (upper < 0) {
      return false;
    }
    l4 = l3 + (upper >>> 8);
    protocol = upper & 0xff;
    layout[Layout.version] = 6;
  } else {
    return false;
  }
  let header = 0;
  if (protocol === ipv4.Protocol.tcp) {
    header = tcp.check(bytes, l4, end - l4) ? tcp.headerBytes(bytes, l4) : 0;
  } else if (protocol === ipv4.Protocol.udp) {
    header = end - l4 >= udp.HEADER_BYTES ? udp.HEADER_BYTES : 0;
  }
  if (header === 0) {
    return false;
  }
  layout[Layout.l3] = l3;
  layout[Layout.l4] = l4;
  layout[Layout.payload] = l4 + header;
  layout[Layout.protocol] = protocol;
  return true;
}
