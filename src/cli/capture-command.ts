/** capture BRIDGE: frames as lines, or as pcapng into a file or a pipe */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import type { Capture } from '../client/client.js';
import { type PcapngEvent, PcapngReader } from '../client/pcapng-reader.js';
import type { CaptureOptions } from '../control/model.js';
import { describe } from '../wire/describe.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { UsageError } from './failure.js';
import { print } from './output.js';
import { wholeNumber } from './values.js';

interface Options extends ClientOptions {
  port?: string;
  write?: string;
  count?: string;
  snaplen?: string;
}

/** Where the pcapng goes; lines for people without one. */
type Sink = { write(chunk: Uint8Array): Promise<void>; close(): void };

export function captureCommand(): Command {
  return clientCommand('capture', 'watch the frames of a bridge; Ctrl-C ends it')
    .argument('<bridge>')
    .option('--port <port>', 'only what this port receives and what is sent to it')
    .option('-w, --write <file|->', 'write pcapng instead of printing lines; - is standard output')
    .option('-c, --count <frames>', 'end after so many frames')
    .option('--snaplen <bytes>', 'bytes kept of each frame (default: all)')
    .addHelpText(
      'after',
      `
  tapbridge capture tb0 -c 10
  tapbridge capture tb0 -w - | tcpdump -nr -
  tapbridge capture tb0 --port web -w web.pcapng`,
    )
    .action((bridge: string, options: Options) =>
      withClient(`capture ${bridge}`, options, async (client) => {
        if (options.write === '-' && process.stdout.isTTY === true) {
          throw new UsageError('pcapng is not for a terminal', 'pipe it: tapbridge capture ... -w - | tcpdump -nr -');
        }
        const request: CaptureOptions = {
          port: options.port,
          count: options.count === undefined ? undefined : wholeNumber('--count', options.count),
          snapLength: options.snaplen === undefined ? undefined : wholeNumber('--snaplen', options.snaplen),
        };
        const capture = await client.capture(bridge, request);
        try {
          await follow(capture, bridge, options.write);
        } finally {
          capture.close();
        }
      }),
    );
}

async function follow(capture: Capture, bridge: string, target: string | undefined): Promise<void> {
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
      for (const event of reader.push(chunk)) lines += taken(event, counts, sink === null);
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

/** Counts an event; returns its line when lines are wanted. */
function taken(event: PcapngEvent, counts: { frames: number; lost: number }, wantLine: boolean): string {
  if (event.kind === 'statistics') {
    counts.lost += event.dropped;
    return '';
  }
  counts.frames++;
  if (!wantLine) return '';
  const time = new Date(Math.floor(event.micros / 1000));
  const clock = `${time.toTimeString().slice(0, 8)}.${String(event.micros % 1_000_000).padStart(6, '0')}`;
  const direction = event.direction === 'in' ? '>' : '<';
  return `${clock} ${event.port} ${direction} ${describe(event.bytes, 0, event.bytes.length)}\n`;
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
