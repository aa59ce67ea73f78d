/** Frames that other programs made: reads test/fixtures/NAME.pcap (classic, little-endian) and tcpdump's text about it. */
import { readFileSync } from 'node:fs';

const PCAP_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

/** The frames of a capture in their order. */
export function fixtureFrames(name: string): Uint8Array[] {
  const file = readFileSync(new URL(`../fixtures/${name}.pcap`, import.meta.url));
  if (file.readUInt32LE(0) !== 0xa1b2c3d4) {
    throw new Error(`${name}.pcap is not a little-endian classic pcap`);
  }
  const frames: Uint8Array[] = [];
  for (let at = PCAP_HEADER_BYTES; at < file.length; ) {
    const length = file.readUInt32LE(at + 8);
    at += RECORD_HEADER_BYTES;
    frames.push(new Uint8Array(file.subarray(at, at + length)));
    at += length;
  }
  return frames;
}

/** What `tcpdump -e -nn -S -t` prints, a line a frame. */
export function fixtureLines(name: string): string[] {
  return readFileSync(new URL(`../fixtures/${name}.txt`, import.meta.url), 'utf8')
    .trimEnd()
    .split('\n');
}

/** A copy of the frame in the middle of a bigger buffer filled with `fill`; the frame starts at `at`. */
export function embed(frame: Uint8Array, at: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(at + frame.length + 128).fill(fill);
  bytes.set(frame, at);
  return bytes;
}
