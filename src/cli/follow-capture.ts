/** A running capture as lines for people, or as pcapng into a file or a pipe, until it ends or is interrupted. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Capture } from '../client/client.js';
import { type PcapngEvent, PcapngReader } from '../client/pcapng-reader.js';
import { describe } from '../wire/describe.js';
import { print } from './output.js';
import type { PortNames } from './port-names.js';

/** Where the pcapng goes; lines for people without one. */
type Sink = { write(chunk: Uint8Array): Promise<void>; close(): void };

/**
 * @param target a file, '-' for standard output, undefined for lines
 * @param names of ports, in lines
 * @throws Error when the file cannot be written
 */
export async function follow(capture: Capture, bridge: string, target: string | undefined, names: PortNames): Promise<void> {
  const sink = target === undefined ? null : target === '-' ? { write: print, close() {} } : fileSink(target);
  const reader = new PcapngReader();
  const counts = { frames: 0, lost: 0 };
  let interrupted = false;
  const interrupt = (): void => {
    // The second time whoever asks is in a hurry.
    if (interrupted) capture.close();
    interrupted = true;
    capture.end().catch(() => capture.close());
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  // A reader that left (tcpdump -c 1) ends the capture, also while no frame comes that would be written.
  process.stdout.on('error', () => capture.close());
  if (process.stderr.isTTY === true) process.stderr.write(`capturing on ${bridge}, Ctrl-C ends it\n`);
  try {
    for await (const chunk of capture) {
      let lines = '';
      for (const event of reader.push(chunk)) lines += taken(event, counts, sink === null ? names : null);
      if (sink !== null) await sink.write(chunk);
      else if (lines !== '') await print(lines);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ECONNRESET' && !interrupted) throw new Error('the daemon ended the connection', { cause: error });
    if (code !== 'ECONNRESET') throw error;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    sink?.close();
  }
  process.stderr.write(`${counts.frames} frames captured, ${counts.lost} lost\n`);
}

/** Counts an event; returns its line. @param names null: no lines are wanted */
function taken(event: PcapngEvent, counts: { frames: number; lost: number }, names: PortNames | null): string {
  if (event.kind === 'statistics') {
    counts.lost += event.dropped;
    return '';
  }
  counts.frames++;
  if (names === null) return '';
  const time = new Date(Math.floor(event.micros / 1000));
  const clock = `${time.toTimeString().slice(0, 8)}.${String(event.micros % 1_000_000).padStart(6, '0')}`;
  const direction = event.direction === 'in' ? '>' : '<';
  return `${clock} ${names(event.port)} ${direction} ${describe(event.bytes, 0, event.bytes.length)}\n`;
}

function fileSink(path: string): Sink {
  // Frames are private: nobody else may read them.
  const file = openForWriting(path);
  return {
    write: async (chunk) => {
      for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at);
    },
    close: () => closeSync(file),
  };
}

/** @throws Error that says which file, and what to do */
function openForWriting(path: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw Object.assign(new Error(`cannot write ${path}: ${reason}`), { hint: 'name another file with --write' });
  }
}
