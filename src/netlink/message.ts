/**
 * Netlink messages as bytes: a writer for requests, readers for replies.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------------------------------------------------------+
 *     |                            length                             |  struct nlmsghdr, the length covers itself
 *     +-------------------------------+-------------------------------+
 *     |             type              |             flags             |
 *     +-------------------------------+-------------------------------+
 *     |                           sequence                            |
 *     +---------------------------------------------------------------+
 *     |                            port id                            |
 *     +---------------------------------------------------------------+
 *     |      header of the family (ifinfomsg, ifaddrmsg, rtmsg ...)   |
 *     +-------------------------------+-------------------------------+
 *     |            length             |             type              |  struct nlattr, the length covers itself, not the padding
 *     +-------------------------------+-------------------------------+
 *     |              value, or nested attributes, padded to 4         |
 *     +---------------------------------------------------------------+
 *
 * All numbers are in the byte order of the machine (RFC 3549, section 2.2); addresses inside attributes are in network order.
 */
import { endianness } from 'node:os';
import { NLA_NESTED, NLA_TYPE_MASK } from './constants.js';

const LITTLE = endianness() === 'LE';

const LENGTH = 0;
const TYPE = LENGTH + 4;
const FLAGS = TYPE + 2;
const SEQUENCE = FLAGS + 2;
const PORT_ID = SEQUENCE + 4;
export const HEADER_BYTES = PORT_ID + 4;

const ATTRIBUTE_LENGTH = 0;
const ATTRIBUTE_TYPE = ATTRIBUTE_LENGTH + 2;
const ATTRIBUTE_HEADER_BYTES = ATTRIBUTE_TYPE + 2;

const MAX_ATTRIBUTE_BYTES = 0xffff;

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** NLMSG_ALIGN and NLA_ALIGN: both are 4. */
export function align(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** Builds one request. Fields are appended in the order of the calls; `finish` writes the lengths and returns the bytes. */
export class MessageWriter {
  private bytes = new Uint8Array(512);
  private view = new DataView(this.bytes.buffer);
  private end = HEADER_BYTES;

  constructor(type: number, flags: number) {
    this.view.setUint16(TYPE, type, LITTLE);
    this.view.setUint16(FLAGS, flags, LITTLE);
  }

  /** A byte of the family's header. */
  u8(value: number): this {
    this.reserve(1);
    this.view.setUint8(this.end, value);
    this.end += 1;
    return this;
  }

  u16(value: number): this {
    this.reserve(2);
    this.view.setUint16(this.end, value, LITTLE);
    this.end += 2;
    return this;
  }

  u32(value: number): this {
    this.reserve(4);
    this.view.setUint32(this.end, value, LITTLE);
    this.end += 4;
    return this;
  }

  /** @throws RangeError for a value an attribute's 16-bit length cannot hold. */
  attribute(type: number, value: Uint8Array): this {
    const length = ATTRIBUTE_HEADER_BYTES + value.length;
    if (length > MAX_ATTRIBUTE_BYTES) {
      throw new RangeError(`netlink attribute ${type} of ${value.length} bytes is too long`);
    }
    this.pad();
    this.reserve(align(length));
    this.view.setUint16(this.end + ATTRIBUTE_LENGTH, length, LITTLE);
    this.view.setUint16(this.end + ATTRIBUTE_TYPE, type, LITTLE);
    this.bytes.set(value, this.end + ATTRIBUTE_HEADER_BYTES);
    this.end += align(length);
    return this;
  }

  attributeU32(type: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, LITTLE);
    return this.attribute(type, bytes);
  }

  /** A string with its terminating NUL. */
  attributeString(type: number, value: string): this {
    return this.attribute(type, utf8.encode(`${value}\0`));
  }

  /** An attribute that holds what `body` appends: a family's header, attributes, or both. */
  nested(type: number, body: (writer: this) => void): this {
    this.pad();
    this.reserve(ATTRIBUTE_HEADER_BYTES);
    const start = this.end;
    this.end += ATTRIBUTE_HEADER_BYTES;
    body(this);
    const length = this.end - start;
    if (length > MAX_ATTRIBUTE_BYTES) {
      throw new RangeError(`netlink attribute ${type} of ${length} bytes is too long`);
    }
    this.view.setUint16(start + ATTRIBUTE_LENGTH, length, LITTLE);
    this.view.setUint16(start + ATTRIBUTE_TYPE, type | NLA_NESTED, LITTLE);
    return this;
  }

  /** The whole message. May be called again with another sequence number: the bytes are a copy. */
  finish(sequence: number): Uint8Array {
    this.pad();
    this.view.setUint32(LENGTH, this.end, LITTLE);
    this.view.setUint32(SEQUENCE, sequence, LITTLE);
    return this.bytes.slice(0, this.end);
  }

  private pad(): void {
    const end = align(this.end);
    this.reserve(end - this.end);
    this.end = end;
  }

  private reserve(more: number): void {
    if (this.end + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.end + more));
    grown.set(this.bytes);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}

/** One received message. `payload` is a view of the buffer it was read from. */
export interface Message {
  type: number;
  flags: number;
  sequence: number;
  payload: Uint8Array;
}

/** What came from the socket contradicts its own length fields. */
export class MalformedMessage extends Error {
  override name = 'MalformedMessage';
}

/**
 * The messages in `bytes`, in order.
 * @throws MalformedMessage when a length points outside.
 */
export function readMessages(bytes: Uint8Array): Message[] {
  const messages: Message[] = [];
  const view = viewOf(bytes);
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < HEADER_BYTES) {
      throw new MalformedMessage(`netlink message cut off at byte ${at} of ${bytes.length}`);
    }
    const length = view.getUint32(at + LENGTH, LITTLE);
    if (length < HEADER_BYTES || length > bytes.length - at) {
      throw new MalformedMessage(`netlink message at byte ${at} claims ${length} of ${bytes.length - at} bytes`);
    }
    messages.push({
      type: view.getUint16(at + TYPE, LITTLE),
      flags: view.getUint16(at + FLAGS, LITTLE),
      sequence: view.getUint32(at + SEQUENCE, LITTLE),
      payload: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** Attributes by type, without the flag bits; of several with one type the last counts, as in the kernel's nla_parse. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/**
 * The attributes in `bytes` from `at` to its end. Also reads nested ones: pass the outer value and 0.
 * @throws MalformedMessage when a length points outside.
 */
export function readAttributes(bytes: Uint8Array, at: number): Attributes {
  const attributes = new Map<number, Uint8Array>();
  const view = viewOf(bytes);
  // Fewer bytes than a header are padding.
  while (bytes.length - at >= ATTRIBUTE_HEADER_BYTES) {
    const length = view.getUint16(at + ATTRIBUTE_LENGTH, LITTLE);
    if (length < ATTRIBUTE_HEADER_BYTES || length > bytes.length - at) {
      throw new MalformedMessage(`netlink attribute at byte ${at} claims ${length} of ${bytes.length - at} bytes`);
    }
    const type = view.getUint16(at + ATTRIBUTE_TYPE, LITTLE) & NLA_TYPE_MASK;
    attributes.set(type, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += align(length);
  }
  return attributes;
}

/**
 * Numbers of a family's header or of an attribute's value.
 * @throws MalformedMessage when `bytes` is shorter.
 */
export function readU8(bytes: Uint8Array, at: number): number {
  need(bytes, at, 1);
  return bytes[at];
}

export function readU16(bytes: Uint8Array, at: number): number {
  need(bytes, at, 2);
  return viewOf(bytes).getUint16(at, LITTLE);
}

export function readU32(bytes: Uint8Array, at: number): number {
  need(bytes, at, 4);
  return viewOf(bytes).getUint32(at, LITTLE);
}

export function readI32(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) | 0;
}

/** Exact up to 2^53. */
export function readU64(bytes: Uint8Array, at: number): number {
  need(bytes, at, 8);
  return Number(viewOf(bytes).getBigUint64(at, LITTLE));
}

/** A 32-bit attribute, or `absent` when it was not sent. */
export function attributeU32(attributes: Attributes, type: number, absent: number): number {
  const value = attributes.get(type);
  return value === undefined ? absent : readU32(value, 0);
}

/** A string attribute up to its NUL, or '' when it was not sent. */
export function attributeString(attributes: Attributes, type: number): string {
  const value = attributes.get(type);
  if (value === undefined) return '';
  const nul = value.indexOf(0);
  return text.decode(nul < 0 ? value : value.subarray(0, nul));
}

function need(bytes: Uint8Array, at: number, count: number): void {
  if (bytes.length - at < count) {
    throw new MalformedMessage(`netlink message ends at byte ${bytes.length}, before its field at ${at}`);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
