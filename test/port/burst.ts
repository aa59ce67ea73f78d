/** A batch and a transmit ring over one arena, as the engine has them, without engine and addon. */
import { Batch, VNET_BYTES } from '../../src/core/batch.js';
import { Transmit } from '../../src/core/transmit.js';

const RECEIVE_BYTES = 64 * 1024;

export interface Burst {
  batch: Batch;
  ring: Transmit;
}

/** @param madeBytes room for frames made in TypeScript */
export function makeBurst(capacity = 64, madeBytes = 1 << 20): Burst {
  const made = RECEIVE_BYTES + madeBytes;
  const arena = new ArrayBuffer(made + (1 << 18));
  const batch = new Batch(arena, new ArrayBuffer(capacity * 12), capacity, RECEIVE_BYTES, made);
  const ring = new Transmit(arena, new ArrayBuffer(1 << 16), made, made + (1 << 18), {
    flush: () => {
      throw new Error('the test wrote more than the ring holds');
    },
  });
  return { batch, ring };
}

/** Adds a frame of a port to the batch. Returns its index. */
export function put(batch: Batch, port: number, frame: Uint8Array, vnet?: Uint8Array): number {
  const index = batch.append(port, frame.length);
  if (index < 0) {
    throw new Error('the test filled the batch');
  }
  batch.bytes.set(frame, batch.at[index]);
  if (vnet !== undefined) {
    batch.bytes.set(vnet, batch.at[index] - VNET_BYTES);
  }
  return index;
}

export function frameOf(batch: Batch, index: number): Uint8Array {
  return batch.bytes.slice(batch.at[index], batch.at[index] + batch.length[index]);
}

export function vnetOf(batch: Batch, index: number): Uint8Array {
  return batch.bytes.slice(batch.at[index] - VNET_BYTES, batch.at[index]);
}

/** Describes a frame of the batch for a port, in pieces of the given sizes (the rest last). */
export function describeFrame(burst: Burst, frame: number, headerBytes: 0 | 12, pieces: number[] = []): void {
  const { batch, ring } = burst;
  let at = batch.at[frame] - headerBytes;
  const end = batch.at[frame] + batch.length[frame];
  ring.begin(0);
  for (const piece of pieces) {
    ring.segment(at, piece);
    at += piece;
  }
  ring.segment(at, end - at);
  ring.end(1, 1);
}

/** A frame of `length` bytes that starts with its number (32 bits), so that it can be told from others. */
export function numbered(number: number, length = 64): Uint8Array {
  const frame = new Uint8Array(length).fill(0xa5);
  new DataView(frame.buffer).setUint32(0, number);
  return frame;
}

export function numberOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(0);
}
