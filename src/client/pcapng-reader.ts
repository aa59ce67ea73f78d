/**
 * Reads the pcapng that the daemon streams (port/pcapng-writer): little-endian, microseconds, blocks in any cut. Other blocks are skipped.
 * @see draft-ietf-opsawg-pcapng, section 3.1 (blocks), 4.2 (interface), 4.3 (packet), 4.6 (statistics)
 */
const INTERFACE = 1;
const STATISTICS = 5;
const PACKET = 6;
const HEAD_BYTES = 8;
const TAIL_BYTES = 4;
const MAX_BLOCK_BYTES = 1 << 20;
const IF_NAME = 2;
const EPB_FLAGS = 2;
const ISB_DROPPED = 5;

export type PcapngEvent =
  | {
      kind: 'frame';
      /** Name of the interface it was seen on. */
      port: string;
      direction: 'in' | 'out' | '';
      /** Since 1970. */
      micros: number;
      bytes: Uint8Array;
      originalLength: number;
    }
  | { kind: 'statistics'; dropped: number };

export class PcapngReader {
  private rest: Buffer = Buffer.alloc(0);
  private readonly names: string[] = [];

  /** What the blocks say that are complete with this chunk. @throws Error when it is no pcapng */
  *push(chunk: Uint8Array): Generator<PcapngEvent> {
    this.rest = Buffer.concat([this.rest, chunk]);
    let at = 0;
    while (this.rest.length - at >= HEAD_BYTES) {
      const length = this.rest.readUInt32LE(at + 4);
      if (length < HEAD_BYTES + TAIL_BYTES || length > MAX_BLOCK_BYTES || length % 4 !== 0) {
        throw new Error('the capture from the daemon is damaged');
      }
      if (this.rest.length - at < length) break;
      const event = this.block(this.rest.readUInt32LE(at), this.rest.subarray(at + HEAD_BYTES, at + length - TAIL_BYTES));
      at += length;
      if (event !== undefined) yield event;
    }
    this.rest = this.rest.subarray(at);
  }

  private block(type: number, body: Buffer): PcapngEvent | undefined {
    if (type === INTERFACE) {
      this.names.push(option(body, 8, IF_NAME)?.toString('utf8') ?? '');
    } else if (type === PACKET) {
      const captured = body.readUInt32LE(12);
      const flags = option(body, 20 + ((captured + 3) & ~3), EPB_FLAGS)?.readUInt32LE(0) ?? 0;
      return {
        kind: 'frame',
        port: this.names[body.readUInt32LE(0)] ?? '',
        direction: (flags & 3) === 1 ? 'in' : (flags & 3) === 2 ? 'out' : '',
        micros: body.readUInt32LE(4) * 0x1_0000_0000 + body.readUInt32LE(8),
        bytes: body.subarray(20, 20 + captured),
        originalLength: body.readUInt32LE(16),
      };
    } else if (type === STATISTICS) {
      return { kind: 'statistics', dropped: Number(option(body, 12, ISB_DROPPED)?.readBigUInt64LE(0) ?? 0n) };
    }
    return undefined;
  }
}

/** The value of the first option with this code. */
function option(body: Buffer, from: number, code: number): Buffer | undefined {
  for (let at = from; at + 4 <= body.length; ) {
    const length = body.readUInt16LE(at + 2);
    if (body.readUInt16LE(at) === 0) return undefined;
    if (body.readUInt16LE(at) === code) return body.subarray(at + 4, at + 4 + length);
    at += 4 + ((length + 3) & ~3);
  }
  return undefined;
}
