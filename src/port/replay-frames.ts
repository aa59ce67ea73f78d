import { stat } from 'node:fs/promises';
import { MAX_FRAME_BYTES } from '../core/batch.js';
import { PcapError, type RecordedFrame, readPcap } from './pcap-reader.js';

/**
 * The frames of a capture, ready for a replay port. All columns lie in shared memory, so that handing them from the thread that loads
 * to the engine's thread copies nothing.
 */
export interface ReplayFrames {
  bytes: Uint8Array;
  /** Where each frame starts in `bytes`. */
  offset: Int32Array;
  length: Int32Array;
  /** Microseconds after the first frame; never falls, whatever the file says. */
  dueMicros: Float64Array;
  count: number;
  /** Frames the capture had cut; they are replayed as they are. */
  cut: number;
}

export interface ReplayLimits {
  /** Frames loaded at most. Default 1,000,000. */
  frames?: number;
  /** Bytes loaded at most. Default 64 MiB. */
  bytes?: number;
}

/**
 * Loads a whole capture into memory.
 * @throws PcapError when it is no capture this reads, holds no frame, or more than the limits allow; Error of the file system
 */
export async function loadReplay(path: string, limits: ReplayLimits = {}): Promise<ReplayFrames> {
  // Opening a pipe waits for its writer, and a device may never end.
  if (!(await stat(path)).isFile()) {
    throw new PcapError('not-pcap', path, 0, 0, 'only a file can be replayed, not a pipe, a device or a directory');
  }
  return collectReplay(readPcap(path), path, limits);
}

/** The same for frames from anywhere; `name` stands for the path in errors. */
export async function collectReplay(
  source: AsyncIterable<RecordedFrame> | Iterable<RecordedFrame>,
  name: string,
  limits: ReplayLimits = {},
): Promise<ReplayFrames> {
  const maxFrames = limits.frames ?? 1_000_000;
  const maxBytes = limits.bytes ?? 64 << 20;
  const frames: RecordedFrame[] = [];
  let total = 0;
  for await (const frame of source) {
    const record = frames.length + 1;
    if (frame.bytes.length === 0 || frame.bytes.length > MAX_FRAME_BYTES) {
      const message = `frame ${record} has ${frame.bytes.length} bytes, a frame has 1 to ${MAX_FRAME_BYTES}`;
      throw new PcapError('frame-size', name, 0, 0, message);
    }
    total += frame.bytes.length;
    if (record > maxFrames || total > maxBytes) {
      const message = `more than ${maxFrames} frames or ${maxBytes} bytes; split it with "editcap -F pcap -c COUNT IN OUT"`;
      throw new PcapError('too-much', name, 0, 0, message);
    }
    frames.push(frame);
  }
  if (frames.length === 0) {
    throw new PcapError('empty', name, 0, 0, 'the capture holds no frame');
  }
  const result: ReplayFrames = {
    bytes: new Uint8Array(new SharedArrayBuffer(total)),
    offset: new Int32Array(new SharedArrayBuffer(frames.length * 4)),
    length: new Int32Array(new SharedArrayBuffer(frames.length * 4)),
    dueMicros: new Float64Array(new SharedArrayBuffer(frames.length * 8)),
    count: frames.length,
    cut: 0,
  };
  const first = frames[0];
  let at = 0;
  let due = 0;
  for (let index = 0; index < frames.length; index++) {
    const frame = frames[index];
    result.bytes.set(frame.bytes, at);
    result.offset[index] = at;
    result.length[index] = frame.bytes.length;
    due = Math.max(due, (frame.seconds - first.seconds) * 1_000_000 + (frame.nanos - first.nanos) / 1000);
    result.dueMicros[index] = due;
    result.cut += frame.bytes.length < frame.originalLength ? 1 : 0;
    at += frame.bytes.length;
  }
  return result;
}
