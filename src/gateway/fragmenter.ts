/**
 * R20, R22: what does not fit the way out, cut into fragments (RFC 791, 3.2).
 *
 *     plain         [ IP | L4 | payload ............ ]
 *                   [ IP | L4 | pay ] [ IP | load . ] [ IP | . ]        the frame itself, cut short, and made frames behind it
 *
 *     super-frame   segmented first (F.3), then each segment cut: the frame itself becomes the first piece of the first segment
 *
 * As few pieces as possible: each but the last is as long as the MTU allows in multiples of 8 bytes. Only the first carries options without
 * the "copied" flag. The L4 checksum is complete in the first piece. Nothing in the frame changes before everything behind it is made, so a
 * batch without room leaves it as it was.
 */
import { type Batch, INGRESS_SELF } from '../core/batch.js';
import { createLayout, Layout, locate } from '../offload/layout.js';
import * as checksum from '../wire/checksum.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_COPIED = 0x80;
const HEADER_BYTES_MAX = 60;
/** Fragments are measured in these. */
const UNIT = 8;

const layout = createLayout();

/** Bytes of the longest IP packet behind a frame whose vnet header is true: of the frame's own, or of a super-frame's segments. */
export function packetBytes(bytes: Uint8Array, at: number): number {
  const ip = at + ethernet.HEADER_BYTES;
  const total = ipv4.totalLength(bytes, ip);
  const header = at - vnet.HEADER_BYTES;
  const gso = vnet.gsoType(bytes, header);
  if (gso === vnet.GsoType.none) {
    return total;
  }
  const l4 = ipv4.headerBytes(bytes, ip);
  const l4Header = (gso & ~vnet.GsoType.ecn) === vnet.GsoType.udpL4 ? udp.HEADER_BYTES : tcp.headerBytes(bytes, ip + l4);
  return Math.min(total, l4 + l4Header + vnet.gsoSize(bytes, header));
}

/** R20: whether a frame's packet, or a segment of it, is longer than the MTU. */
export function tooBig(bytes: Uint8Array, at: number, mtu: number): boolean {
  return packetBytes(bytes, at) > mtu;
}

export class Fragmenter {
  /** What the last `split` made: frames [first, first + count), in their order, to be sent behind the frame itself. */
  first = 0;
  count = 0;
  /** Header of the fragments behind the first. */
  private readonly later = new Uint8Array(HEADER_BYTES_MAX);

  /**
   * Cuts an IPv4 frame without "don't fragment" that is too big for `mtu`; the frame keeps the first piece. Its ethernet header is copied to
   * all pieces, so it is to be final, and so is its identification; segments of a super-frame take consecutive ones.
   * @returns false when the batch has no room, or headers make no sense: the frame is then to be dropped
   */
  split(batch: Batch, frame: number, mtu: number): boolean {
    const { bytes } = batch;
    const at = batch.at[frame];
    const header = at - vnet.HEADER_BYTES;
    this.first = batch.count;
    this.count = 0;
    if (vnet.gsoType(bytes, header) !== vnet.GsoType.none) {
      return this.splitSuperFrame(batch, frame, mtu);
    }
    const ip = at + ethernet.HEADER_BYTES;
    const total = ipv4.totalLength(bytes, ip);
    const start = vnet.checksumStart(bytes, header);
    const partial = (vnet.flags(bytes, header) & vnet.Flag.needsChecksum) !== 0;
    if (partial && start + vnet.checksumOffset(bytes, header) + 2 > ethernet.HEADER_BYTES + total) {
      return false;
    }
    if (!this.appendTail(batch, at, ip, total - ipv4.headerBytes(bytes, ip), ipv4.identification(bytes, ip), mtu)) {
      return false;
    }
    if (partial) {
      const value = checksum.checksum(bytes, at + start, ethernet.HEADER_BYTES + total - start);
      storeChecksum(bytes, at + start + vnet.checksumOffset(bytes, header), value, ipv4.protocol(bytes, ip));
    }
    this.shorten(batch, frame, mtu);
    return true;
  }

  private splitSuperFrame(batch: Batch, frame: number, mtu: number): boolean {
    const { bytes } = batch;
    const at = batch.at[frame];
    const ip = at + ethernet.HEADER_BYTES;
    const size = vnet.gsoSize(bytes, at - vnet.HEADER_BYTES);
    // Padding behind the packet is no payload.
    const length = ethernet.HEADER_BYTES + ipv4.totalLength(bytes, ip);
    if (size === 0 || length > batch.length[frame] || !locate(bytes, at, length, layout) || layout[Layout.l3] !== ip) {
      return false;
    }
    const protocol = layout[Layout.protocol];
    const l4 = layout[Layout.l4];
    const payload = layout[Layout.payload];
    const l4Header = payload - l4;
    const end = at + length;
    const field = l4 + (protocol === ipv4.Protocol.tcp ? tcp.CHECKSUM : udp.CHECKSUM);
    // The pseudo-header sum without its length part, which differs from segment to segment (F.3).
    const pseudo = checksum.add((bytes[field] << 8) | bytes[field + 1], ~checksum.fold(end - l4) & 0xffff);
    const id = ipv4.identification(bytes, ip);
    const slice = Math.min(size, end - payload);
    if (!this.appendTail(batch, at, ip, l4Header + slice, id, mtu)) {
      return false;
    }
    for (let next = payload + slice, number = 1; next < end; next += size, number++) {
      const bytesOf = Math.min(size, end - next);
      const made = batch.append(INGRESS_SELF, payload - at + bytesOf);
      if (made < 0) {
        return false;
      }
      const own = batch.at[made];
      bytes.copyWithin(own, at, payload);
      bytes.copyWithin(own + payload - at, next, next + bytesOf);
      this.asSegment(bytes, own + ip - at, own + l4 - at, l4Header, bytesOf, pseudo, number, size, next + bytesOf >= end);
      const ownIp = own + ip - at;
      this.count++;
      if (ipv4.totalLength(bytes, ownIp) > mtu) {
        if (!this.appendTail(batch, own, ownIp, l4Header + bytesOf, (id + number) & 0xffff, mtu)) {
          return false;
        }
        this.shorten(batch, made, mtu);
      }
    }
    this.asSegment(bytes, ip, l4, l4Header, slice, pseudo, 0, size, payload + slice >= end);
    this.shorten(batch, frame, mtu);
    return true;
  }

  /** Makes headers those of one segment with `slice` bytes of payload behind them (F.3), the checksum complete. */
  private asSegment(
    bytes: Uint8Array,
    ip: number,
    l4: number,
    l4Header: number,
    slice: number,
    pseudo: number,
    number: number,
    size: number,
    isLast: boolean,
  ): void {
    const protocol = ipv4.protocol(bytes, ip);
    ipv4.setTotalLength(bytes, ip, l4 - ip + l4Header + slice);
    ipv4.setIdentification(bytes, ip, ipv4.identification(bytes, ip) + number);
    ipv4.fillHeaderChecksum(bytes, ip);
    let field = l4 + udp.CHECKSUM;
    if (protocol === ipv4.Protocol.tcp) {
      field = l4 + tcp.CHECKSUM;
      const notLast = isLast ? 0 : tcp.Flag.fin | tcp.Flag.psh;
      const notFirst = number === 0 ? 0 : tcp.Flag.cwr;
      tcp.setSequence(bytes, l4, (tcp.sequence(bytes, l4) + number * size) | 0);
      tcp.setFlags(bytes, l4, tcp.flags(bytes, l4) & ~(notLast | notFirst));
    } else {
      udp.setDatagramLength(bytes, l4, udp.HEADER_BYTES + slice);
    }
    const seed = checksum.add(pseudo, checksum.fold(l4Header + slice));
    bytes[field] = seed >>> 8;
    bytes[field + 1] = seed;
    storeChecksum(bytes, field, checksum.checksum(bytes, l4, l4Header + slice), protocol);
  }

  /** Makes the fragments behind the first of a packet with `length` bytes behind its IP header, which lies at `ip`, its frame at `at`. */
  private appendTail(batch: Batch, at: number, ip: number, length: number, id: number, mtu: number): boolean {
    const { bytes } = batch;
    const header = ipv4.headerBytes(bytes, ip);
    if (header + length <= mtu) {
      return true;
    }
    const payload = ip + header;
    const word = ipv4.fragmentWord(bytes, ip);
    const offset = ipv4.fragmentOffset(bytes, ip);
    const laterBytes = this.fillLater(bytes, ip, header);
    const firstSize = (mtu - header) & ~(UNIT - 1);
    const size = (mtu - laterBytes) & ~(UNIT - 1);
    if (firstSize < UNIT || size < UNIT) {
      return false;
    }
    for (let from = firstSize; from < length; ) {
      // What is left may use the MTU to its last byte.
      const piece = length - from <= mtu - laterBytes ? length - from : size;
      const made = batch.append(INGRESS_SELF, ethernet.HEADER_BYTES + laterBytes + piece);
      if (made < 0) {
        return false;
      }
      const own = batch.at[made];
      const ownIp = own + ethernet.HEADER_BYTES;
      bytes.copyWithin(own, at, at + ethernet.HEADER_BYTES);
      for (let index = 0; index < laterBytes; index++) {
        bytes[ownIp + index] = this.later[index];
      }
      bytes.copyWithin(ownIp + laterBytes, payload + from, payload + from + piece);
      const more = from + piece < length ? ipv4.MORE_FRAGMENTS_FLAG : word & ipv4.MORE_FRAGMENTS_FLAG;
      ipv4.setTotalLength(bytes, ownIp, laterBytes + piece);
      ipv4.setIdentification(bytes, ownIp, id);
      ipv4.setFragmentWord(bytes, ownIp, more | ((offset + from) >>> 3));
      ipv4.fillHeaderChecksum(bytes, ownIp);
      this.count++;
      from += piece;
    }
    return true;
  }

  /** Copies the header with only those options that go into every fragment (RFC 791, 3.1). Returns its bytes. */
  private fillLater(bytes: Uint8Array, ip: number, header: number): number {
    const { later } = this;
    for (let index = 0; index < ipv4.HEADER_BYTES; index++) {
      later[index] = bytes[ip + index];
    }
    let used = ipv4.HEADER_BYTES;
    for (let next = ipv4.HEADER_BYTES; next < header; ) {
      const kind = bytes[ip + next];
      if (kind === OPTION_END) {
        break;
      }
      const length = kind === OPTION_NOP ? 1 : next + 1 < header ? bytes[ip + next + 1] : 0;
      if (length === 0 || (kind !== OPTION_NOP && length < 2) || next + length > header) {
        break;
      }
      if ((kind & OPTION_COPIED) !== 0) {
        for (let index = 0; index < length; index++) {
          later[used++] = bytes[ip + next + index];
        }
      }
      next += length;
    }
    while ((used & 3) !== 0) {
      later[used++] = OPTION_END;
    }
    ipv4.setHeaderBytes(later, 0, used);
    return used;
  }

  /** Cuts a frame after its first fragment. */
  private shorten(batch: Batch, frame: number, mtu: number): void {
    const { bytes } = batch;
    const at = batch.at[frame];
    const ip = at + ethernet.HEADER_BYTES;
    const header = ipv4.headerBytes(bytes, ip);
    const total = ipv4.totalLength(bytes, ip);
    vnet.clear(bytes, at - vnet.HEADER_BYTES);
    if (total <= mtu) {
      // The last segment of a super-frame may fit as it is.
      batch.length[frame] = ethernet.HEADER_BYTES + total;
      return;
    }
    const kept = header + ((mtu - header) & ~(UNIT - 1));
    ipv4.setTotalLength(bytes, ip, kept);
    ipv4.setFragmentWord(bytes, ip, ipv4.fragmentWord(bytes, ip) | ipv4.MORE_FRAGMENTS_FLAG);
    ipv4.fillHeaderChecksum(bytes, ip);
    batch.length[frame] = ethernet.HEADER_BYTES + kept;
  }
}

function storeChecksum(bytes: Uint8Array, field: number, value: number, protocol: number): void {
  const stored = value === 0 && protocol === ipv4.Protocol.udp ? 0xffff : value;
  bytes[field] = stored >>> 8;
  bytes[field + 1] = stored;
}
