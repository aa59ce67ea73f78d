/**
 * ICMP errors through the translation (E.6, RFC 5508 REQ-3 … 7): the packet an error quotes is translated back, inside and outside.
 *
 *     Ethernet | IP: router → X' | ICMP 3, 11, 12 | IP: X' → Y | x' → y ... | padding to 128 bytes, extension objects (RFC 4884)
 *                       outer                        embedded
 *
 * `parse` verifies, and leaves the INVERSE of the embedded tuple: the embedded packet went out through us, so packets of the opposite
 * direction of its flow carry the inverse (Y:y → X':x'). The caller finds the flow, and `translate` writes what the receiver of the error
 * itself had sent (X:x → Y:y) into the quote, and its address into the outer header. Type, code, the MTU of 3/4, padding and extension
 * objects stay as they are.
 *
 * The checksum of the quoted transport header is changed along but never verified (REQ-3c): it may be cut off, or unfinished (R33).
 */
import { IcmpRole, icmpKind, icmpRole, kindOf } from '../conntrack/kind.js';
import { GATEWAY } from '../core/counters.js';
import { completeInPlace } from '../offload/complete-checksum.js';
import * as checksum from '../wire/checksum.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { replace32, updateAt, updateUdpAt, word } from './checksum-delta.js';
import { rewriteAddresses } from './rewrite.js';

/** Octet of the ICMP header with the length of the quote in 32-bit words; 0: no extensions (RFC 4884, 4). */
const QUOTE_WORDS = 5;
const ICMP_CHECKSUM = 2;
const IP_CHECKSUM = 10;
const IP_SOURCE = 12;
const IP_DESTINATION = 16;
/** Bytes of the transport header every error quotes (RFC 792). */
const QUOTED_L4_MIN = 8;

export class ErrorTranslator {
  /** The inverse of the embedded tuple, as keys of flows: valid until the next `parse`. */
  source = 0;
  destination = 0;
  ports = 0;
  kind = 0;
  /** The embedded protocol. */
  protocol = 0;
  /** Offset of the embedded IP header. */
  quote = 0;
  private icmp = 0;
  private quotedL4 = 0;
  /** End of what the quote holds of the packet: no padding, no extensions. */
  private quoteEnd = 0;

  /**
   * Steps 1 to 4 and 9 for the ICMP message behind the IP header at `ip`, which passed `ipv4.check`. Finishes an unfinished checksum.
   * @returns 0, or the position in GATEWAY_COUNTERS of the reason to drop it
   */
  parse(bytes: Uint8Array, at: number, ip: number): number {
    const end = ip + ipv4.totalLength(bytes, ip);
    const message = ip + ipv4.headerBytes(bytes, ip);
    if (end - message < icmp.HEADER_BYTES + ipv4.HEADER_BYTES || ipv4.isFragment(bytes, ip)) {
      return GATEWAY.l4_malformed;
    }
    const type = icmp.type(bytes, message);
    if (type !== icmp.Type.unreachable && type !== icmp.Type.timeExceeded && type !== icmp.Type.parameterProblem) {
      return GATEWAY.icmp_ignored;
    }
    if (!finishChecksum(bytes, at, message, end) || !icmp.verify(bytes, message, end - message)) {
      return GATEWAY.l4_checksum;
    }
    const quote = message + icmp.HEADER_BYTES;
    const words = bytes[message + QUOTE_WORDS];
    // A length behind the message's end bounds nothing.
    const bound = words === 0 ? end : Math.min(end, quote + (words << 2));
    if (ipv4.version(bytes, quote) !== 4) {
      return GATEWAY.l4_malformed;
    }
    const header = ipv4.headerBytes(bytes, quote);
    if (header < ipv4.HEADER_BYTES || quote + header > bound) {
      return GATEWAY.l4_malformed;
    }
    if (checksum.checksum(bytes, quote, header) !== 0) {
      return GATEWAY.l4_checksum;
    }
    this.icmp = message;
    this.quote = quote;
    this.quotedL4 = quote + header;
    this.quoteEnd = Math.min(bound, quote + ipv4.totalLength(bytes, quote));
    if (ipv4.fragmentOffset(bytes, quote) !== 0 || ipv4.source(bytes, quote) !== ipv4.destination(bytes, ip)) {
      return GATEWAY.icmp_unrelated;
    }
    this.source = ipv4.destination(bytes, quote);
    this.destination = ipv4.source(bytes, quote);
    return this.parsePorts(bytes);
  }

  /**
   * Steps 6 to 11, after a `parse` of the same frame. The quote gets the addresses and ports as the error's receiver sent them (ports: source
   * << 16 | destination, id << 16 | id), the outer header its new source and destination.
   */
  translate(
    bytes: Uint8Array,
    at: number,
    ip: number,
    outerSource: number,
    outerDestination: number,
    embeddedSource: number,
    embeddedDestination: number,
    embeddedPorts: number,
  ): void {
    const { quote, quotedL4, protocol } = this;
    const sources = replace32(bytes, quote + IP_SOURCE, embeddedSource);
    const delta = (sources + replace32(bytes, quote + IP_DESTINATION, embeddedDestination)) | 0;
    updateAt(bytes, quote + IP_CHECKSUM, delta);
    if (protocol === ipv4.Protocol.tcp) {
      const ports = replace32(bytes, quotedL4, embeddedPorts);
      if (quotedL4 + tcp.CHECKSUM + 2 <= this.quoteEnd) {
        updateAt(bytes, quotedL4 + tcp.CHECKSUM, delta + ports);
      }
    } else if (protocol === ipv4.Protocol.udp) {
      const ports = replace32(bytes, quotedL4, embeddedPorts);
      updateUdpAt(bytes, quotedL4 + udp.CHECKSUM, delta + ports);
    } else if (protocol === ipv4.Protocol.icmp) {
      const before = icmp.identifier(bytes, quotedL4);
      const after = embeddedPorts & 0xffff;
      icmp.setIdentifier(bytes, quotedL4, after);
      updateAt(bytes, quotedL4 + ICMP_CHECKSUM, (~before & 0xffff) + after);
    }
    icmp.fillChecksum(bytes, this.icmp, ip + ipv4.totalLength(bytes, ip) - this.icmp);
    rewriteAddresses(bytes, at, ip, outerSource, outerDestination);
  }

  /** The transport part of the inverse. */
  private parsePorts(bytes: Uint8Array): number {
    const l4 = this.quotedL4;
    const protocol = ipv4.protocol(bytes, this.quote);
    this.protocol = protocol;
    this.kind = kindOf(protocol);
    this.ports = 0;
    if (protocol !== ipv4.Protocol.tcp && protocol !== ipv4.Protocol.udp && protocol !== ipv4.Protocol.icmp) {
      return 0;
    }
    if (l4 + QUOTED_L4_MIN > this.quoteEnd) {
      return GATEWAY.l4_malformed;
    }
    if (protocol !== ipv4.Protocol.icmp) {
      this.ports = (word(bytes, l4 + 2) << 16) | word(bytes, l4);
      return 0;
    }
    const type = icmp.type(bytes, l4);
    if (icmpRole(type) !== IcmpRole.request && icmpRole(type) !== IcmpRole.reply) {
      // An error about an error: nobody may send one (RFC 1122, 3.2.2).
      return GATEWAY.icmp_unrelated;
    }
    const id = icmp.identifier(bytes, l4);
    this.ports = (id << 16) | id;
    this.kind = icmpKind(type);
    return 0;
  }
}

/** Step 1: false when the vnet header wants something else finished than this message's checksum. */
function finishChecksum(bytes: Uint8Array, at: number, message: number, end: number): boolean {
  const header = at - vnet.HEADER_BYTES;
  if ((vnet.flags(bytes, header) & vnet.Flag.needsChecksum) === 0) {
    return true;
  }
  if (vnet.checksumStart(bytes, header) !== message - at || vnet.checksumOffset(bytes, header) !== ICMP_CHECKSUM) {
    return false;
  }
  completeInPlace(bytes, at, end - at);
  vnet.setFlags(bytes, header, 0);
  return true;
}
