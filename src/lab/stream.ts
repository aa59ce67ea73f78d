/**
 * TCP streams whose every byte is checked. The stream repeats a block whose length is prime: a segment that is lost, doubled or swapped shifts
 * everything behind it against the block, whatever its size, so that comparing with the expected bytes (memcmp, gigabytes a second) finds more
 * than a digest would and costs less.
 */
import { connect, createServer, type Server } from 'node:net';
import { Random } from '../core/random.js';
import type { StreamOptions, StreamResult } from './requests.js';

const BLOCK_BYTES = 65_521;
/** Bytes a write hands over: two blocks and a bit, so that a write never starts where the last one did. */
const WRITE_BYTES = 2 * BLOCK_BYTES + 4099;

/** The pattern, long enough to take any write or read of up to `WRITE_BYTES` from any phase. */
const pattern = makePattern();

function makePattern(): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES + WRITE_BYTES);
  const random = new Random(1);
  for (let at = 0; at < BLOCK_BYTES; at++) bytes[at] = random.next() >>> 24;
  for (let at = BLOCK_BYTES; at < bytes.length; at++) bytes[at] = bytes[at - BLOCK_BYTES];
  return bytes;
}

/** A server for one stream. */
export interface StreamServer {
  readonly port: number;
  /** Settles when the stream has ended. */
  readonly result: Promise<StreamResult>;
}

/** Listens on all addresses. @throws Error with code EADDRINUSE ... */
export function serveStream(port: number): Promise<StreamServer> {
  const server: Server = createServer();
  const result = new Promise<StreamResult>((resolve, reject) => {
    server.once('connection', (socket) => {
      server.close();
      let bytes = 0;
      let intact = true;
      let first = -1;
      socket.on('data', (chunk: Buffer) => {
        if (first < 0) first = performance.now();
        intact = matches(chunk, bytes) && intact;
        bytes += chunk.length;
      });
      socket.once('end', () => {
        socket.end();
        resolve({ bytes, intact, millis: first < 0 ? 0 : performance.now() - first });
      });
      socket.once('error', reject);
    });
  });
  // Whoever never asks for the result shall not end the process by its failure.
  result.catch(() => {});
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '0.0.0.0', () => {
      const address = server.address();
      resolve({ port: typeof address === 'object' && address !== null ? address.port : port, result });
    });
  });
}

/** Sends so many bytes of the pattern and waits until the other side has closed. @throws Error of the connection */
export function sendStream({ address, port, bytes }: StreamOptions): Promise<{ bytes: number; millis: number }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port });
    let sent = 0;
    let start = 0;
    const pump = (): void => {
      while (sent < bytes) {
        const phase = sent % BLOCK_BYTES;
        const count = Math.min(WRITE_BYTES, bytes - sent);
        sent += count;
        if (!socket.write(pattern.subarray(phase, phase + count))) return;
      }
      socket.end();
    };
    socket.once('connect', () => {
      start = performance.now();
      pump();
    });
    socket.on('drain', pump);
    socket.resume();
    socket.once('close', (failed) => {
      if (!failed) resolve({ bytes: sent, millis: performance.now() - start });
    });
    socket.once('error', reject);
  });
}

/** Whether a chunk is what the stream has at this position. */
function matches(chunk: Buffer, position: number): boolean {
  for (let at = 0; at < chunk.length; at += WRITE_BYTES) {
    const part = chunk.subarray(at, at + WRITE_BYTES);
    const phase = (position + at) % BLOCK_BYTES;
    if (part.compare(pattern, phase, phase + part.length) !== 0) return false;
  }
  return true;
}
