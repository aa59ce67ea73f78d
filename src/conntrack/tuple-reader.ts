/**
 * The tuple of a datagram (C1, C2), and whether its transport header is one a translator may touch (C4). Left in fields: borrowed until the
 * next call.
 */
import { GATEWAY } from '../core/counters.js';
import * as checksum from '../wire/checksum.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import { IcmpRole, icmpKind, icmpRole, kindOf } from './kind.js';
import { LEGAL_FLAGS } from './tcp-states.js';

const { tcp: TCP, udp: UDP, icmp: ICMP } = ipv4.Protocol;
const { l4_malformed: L4_MALFORMED, l4_checksum: L4_CHECKSUM, icmp_ignored: ICMP_IGNORED } = GATEWAY;

export class TupleReader {
  /** The tuple of the last lookup. */
  source = 0;
  destination = 0;
  /** Source port << 16 | destination port; ICMP id << 16 | id; 0 for other protocols. */
  ports = 0;
  kind = 0;
  /** 0, or the counter of `GATEWAY` of a datagram the last lookup found wrong; then it returned -1. */
  fault = 0;
  /** The last lookup met an ICMP error, which belongs to the flow of the packet it quotes (E.6); then it returned -1. */
  isIcmpError = false;
  /** Reads the tuple. False, with the fault, when the datagram has none. */
  protected read(bytes: Uint8Array, ip: number, l4: number, l4Length: number): boolean {
    this.fault = 0;
    this.isIcmpError = false;
    this.source = ipv4.source(bytes, ip);
    this.destination = ipv4.destination(bytes, ip);
    this.ports = 0;
    const protocol = ipv4.protocol(bytes, ip);
    this.kind = kindOf(protocol);
    if (protocol === TCP) {
      if (!tcp.check(bytes, l4, l4Length) || LEGAL_FLAGS[tcp.flags(bytes, l4)] === 0) {
        this.fault = L4_MALFORMED;
        return false;
      }
      this.ports = (tcp.sourcePort(bytes, l4) << 16) | tcp.destinationPort(bytes, l4);
    } else if (protocol === UDP) {
      if (l4Length < udp.HEADER_BYTES) {
        this.fault = L4_MALFORMED;
        return false;
      }
      this.ports = (udp.sourcePort(bytes, l4) << 16) | udp.destinationPort(bytes, l4);
    } else if (protocol === ICMP) {
      return this.parseIcmp(bytes, l4, l4Length);
    }
    return true;
  }

  private parseIcmp(bytes: Uint8Array, l4: number, l4Length: number): boolean {
    if (!icmp.check(l4Length)) {
      this.fault = L4_MALFORMED;
      return false;
    }
    const type = icmp.type(bytes, l4);
    const role = icmpRole(type);
    if (role === IcmpRole.error) {
      this.isIcmpError = true;
      return false;
    }
    if (role === IcmpRole.ignored || icmp.code(bytes, l4) !== 0) {
      this.fault = ICMP_IGNORED;
      return false;
    }
    const identifier = icmp.identifier(bytes, l4);
    this.kind = icmpKind(type);
    this.ports = (identifier << 16) | identifier;
    return true;
  }

  /**
   * C4, behind `read`, of a whole datagram. A checksum nobody has verified yet is verified here: translated, a wrong one would look like one
   * made wrong by us.
   */
  protected check(bytes: Uint8Array, ip: number, l4: number, l4Length: number, unverified: boolean): boolean {
    const protocol = this.kind & 0xff;
    let right = true;
    if (protocol === UDP) {
      if (!udp.check(bytes, l4, l4Length)) {
        this.fault = L4_MALFORMED;
        return false;
      }
      // 0: its sender made none.
      right = !unverified || udp.checksumField(bytes, l4) === 0 || sumsUp(bytes, ip, l4, udp.datagramLength(bytes, l4), UDP);
    } else if (protocol === TCP) {
      right = !unverified || sumsUp(bytes, ip, l4, l4Length, TCP);
    } else if (protocol === ICMP) {
      right = !unverified || icmp.verify(bytes, l4, l4Length);
    }
    if (!right) {
      this.fault = L4_CHECKSUM;
    }
    return right;
  }
}

function sumsUp(bytes: Uint8Array, ip: number, l4: number, length: number, protocol: number): boolean {
  return checksum.finish(checksum.sum(bytes, l4, length, checksum.pseudoIpv4(bytes, ip, protocol, length))) === 0;
}
