import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';
import { PcapError, type PcapProblem, parsePcap, type RecordedFrame, readPcap } from '../../src/port/pcap-reader.js';
import { pcapHeader, pcapRecord } from '../../src/port/pcap-writer.js';
import { enhancedPacket, interfaceDescription, sectionHeader } from '../../src/port/pcapng-writer.js';
import { fixtureFrames } from '../helpers/fixture.js';
import { describeSystem } from '../helpers/requirements.js';
import { rewriteByTcpdump } from './tools.js';

const WHEN = 1_790_000_000_123_456;

/** A capture of the given frames, a second apart. */
function file(frames: Uint8Array[], resolution: 6 | 9 = 6): Buffer {
  const records = frames.map((bytes, index) =>
    pcapRecord({ micros: WHEN + index * 1_000_000, nanos: 789, bytes, originalLength: bytes.length }, resolution),
  );
  return Buffer.concat([pcapHeader(resolution), ...records]);
}

/** The same file as a machine of the other byte order writes it. */
function swapped(capture: Buffer): Buffer {
  const result = Buffer.from(capture);
  result.subarray(0, 4).swap32();
  result.subarray(4, 8).swap16();
  result.subarray(8, 24).swap32();
  for (let at = 24; at < result.length; ) {
    const length = result.readUInt32LE(at + 8);
    result.subarray(at, at + 16).swap32();
    at += 16 + length;
  }
  return result;
}

/** A copy with a 32-bit little-endian word replaced. */
function patched(capture: Buffer, at: number, word: number): Buffer {
  const result = Buffer.from(capture);
  result.writeUInt32LE(word >>> 0, at);
  return result;
}

/** Frames until the end or the first error. */
async function read(chunks: Iterable<Uint8Array>): Promise<{ frames: RecordedFrame[]; problem: PcapError | null }> {
  const frames: RecordedFrame[] = [];
  try {
    for await (const frame of parsePcap(chunks, 'x.pcap')) frames.push(frame);
  } catch (error) {
    if (!(error instanceof PcapError)) throw error;
    return { frames, problem: error };
  }
  return { frames, problem: null };
}

const three = [new Uint8Array(60).fill(1), new Uint8Array(1514).fill(2), new Uint8Array(42).fill(3)];

describe('pcap reader', () => {
  test.each([
    ['microseconds', file(three), 123_456_000],
    ['nanoseconds', file(three, 9), 123_456_789],
    ['the other byte order', swapped(file(three)), 123_456_000],
    ['the other byte order, nanoseconds', swapped(file(three, 9)), 123_456_789],
  ])('%s: frames, lengths and times', async (_name, capture, nanos) => {
    const { frames, problem } = await read([capture]);
    expect(problem).toBeNull();
    expect(frames.map((frame) => Buffer.from(frame.bytes).toString('hex'))).toEqual(
      three.map((bytes) => Buffer.from(bytes).toString('hex')),
    );
    expect(frames.map((frame) => frame.seconds)).toEqual([1_790_000_000, 1_790_000_001, 1_790_000_002]);
    expect(frames.map((frame) => frame.nanos)).toEqual([nanos, nanos, nanos]);
  });

  test('chunks of any size give the same frames', async () => {
    const capture = file(three);
    for (const size of [1, 7, 24, 25, 1000]) {
      const chunks = [];
      for (let at = 0; at < capture.length; at += size) chunks.push(capture.subarray(at, at + size));
      const { frames, problem } = await read(chunks);
      expect(problem).toBeNull();
      expect(frames.map((frame) => frame.bytes)).toEqual(three);
    }
  });

  test('a header without records is a capture of no frames', async () => {
    expect(await read([pcapHeader()])).toEqual({ frames: [], problem: null });
  });

  test('a frame the capture has cut says how long it was', async () => {
    const record = pcapRecord({ micros: 0, bytes: new Uint8Array(10), originalLength: 1500 });
    const { frames } = await read([pcapHeader(), record]);
    expect(frames[0]).toMatchObject({ originalLength: 1500, bytes: new Uint8Array(10) });
  });

  test('reads a file, and closes it when the reader stops early', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tapbridge-'));
    try {
      const path = join(directory, 'big.pcap');
      writeFileSync(path, file(Array.from({ length: 300 }, (_, index) => new Uint8Array(1000).fill(index))));
      let count = 0;
      for await (const frame of readPcap(path)) {
        expect(frame.bytes[999]).toBe(count % 256);
        count++;
      }
      expect(count).toBe(300);
      for await (const frame of readPcap(path)) {
        expect(frame.bytes[0]).toBe(0);
        break;
      }
      await expect(readPcap(join(directory, 'none.pcap')).next()).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(readPcap(directory).next()).rejects.toMatchObject({ code: 'EISDIR' });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('pcap reader: what is wrong is said', () => {
  const good = file(three);
  const second = 24 + 16 + 60;
  const cases: [string, Uint8Array, PcapProblem, RegExp, number][] = [
    ['empty', new Uint8Array(0), 'empty', /x\.pcap: the file is empty/, 0],
    ['half a header', good.subarray(0, 20), 'truncated', /24 bytes of header, here are 20/, 0],
    ['two bytes', good.subarray(0, 2), 'truncated', /here are 2/, 0],
    [
      'pcapng',
      Buffer.concat([
        sectionHeader(),
        interfaceDescription({ name: 'a' }),
        enhancedPacket({ interface: 0, micros: 0, bytes: three[0], originalLength: 60 }),
      ]),
      'pcapng',
      /editcap -F pcap IN OUT/,
      0,
    ],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0, 0), 'compressed', /unpack/, 0],
    ['zstd', Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd), 'compressed', /unpack/, 0],
    ['text', Buffer.from('hello, world, this is no capture'), 'not-pcap', /starts with 68656c6c/, 0],
    ['version 2.5', patched(good, 4, 0x0005_0002), 'version', /version 2\.5 is not 2\.4/, 0],
    ['version 3.4, which pcap-parser lets through', patched(good, 4, 0x0004_0003), 'version', /version 3\.4/, 0],
    ['Linux cooked', patched(good, 20, 113), 'link-type', /link type is 113/, 0],
    ['raw IP', patched(good, 20, 101), 'link-type', /link type is 101/, 0],
    ['frame check sequences', patched(good, 20, 0x2400_0001), 'frame-check', /-C -4/, 0],
    ['a record of 262,145 bytes', patched(good, second + 8, 262_145), 'too-long', /record 2 at byte 100: claims 262145 bytes/, 1],
    ['a record of 4 GiB', patched(good, second + 8, 0xffff_ffff), 'too-long', /claims 4294967295/, 1],
    ['a million microseconds', patched(good, second + 4, 1_000_000), 'time', /record 2 at byte 100: its time/, 1],
    [
      'half a record header',
      good.subarray(0, second + 9),
      'truncated',
      /record 2 at byte 100: the file ends after 9 of its 16 bytes/,
      1,
    ],
    ['half a record', good.subarray(0, good.length - 1), 'truncated', /record 3 .* ends after 57 of its 58 bytes/, 2],
  ];

  test.each(cases)('%s', async (_name, capture, code, message, framesBefore) => {
    for (const chunks of [[capture], [...capture].map((byte) => Uint8Array.of(byte))]) {
      const { frames, problem } = await read(chunks);
      expect(problem?.code).toBe(code);
      expect(problem?.message).toMatch(message);
      expect(frames.map((frame) => frame.bytes)).toEqual(three.slice(0, framesBefore));
    }
  });

  test('a record that claims much is refused before it is buffered', async () => {
    let fed = 0;
    function* endless(): Generator<Uint8Array> {
      yield patched(good, second + 8, 0x4000_0000);
      for (;;) {
        fed++;
        yield new Uint8Array(65_536);
      }
    }
    const { problem } = await read(endless());
    expect(problem?.code).toBe('too-long');
    expect(fed).toBe(0);
  });
});

describe('pcap reader: fuzz', () => {
  test('damaged captures end in frames or a PcapError, nothing else', async () => {
    const random = new Random(20_260_701);
    const captures = [file(three), file(three, 9), swapped(file(three)), file([])];
    const seen = new Map<string, number>();
    for (let round = 0; round < 4000; round++) {
      const capture = Buffer.from(captures[random.below(captures.length)]);
      for (let flips = random.below(4); flips > 0; flips--)
        capture[random.below(Math.min(capture.length, 140))] ^= 1 << random.below(8);
      const whole = capture.subarray(0, random.below(3) === 0 ? random.below(capture.length + 1) : capture.length);
      const cut = random.below(whole.length + 1);
      const { frames, problem } = await read([whole.subarray(0, cut), whole.subarray(cut)]);
      let bytes = 0;
      for (const frame of frames) bytes += frame.bytes.length + 16;
      expect(bytes).toBeLessThanOrEqual(whole.length);
      const outcome = problem?.code ?? 'whole';
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
    // The fuzz reached what it was made for.
    for (const outcome of ['whole', 'truncated', 'too-long', 'time', 'version', 'link-type', 'not-pcap'])
      expect([...seen.keys()]).toContain(outcome);
  });

  test('random bytes behind a good header', async () => {
    const random = new Random(7);
    for (let round = 0; round < 500; round++) {
      const noise = Uint8Array.from({ length: random.below(400) }, () => random.below(256));
      const { frames, problem } = await read([pcapHeader(), noise]);
      expect(problem !== null || frames.length > 0 || noise.length === 0).toBe(true);
    }
  });
});

describeSystem('pcap written by tcpdump', ['tool:tcpdump'], () => {
  test('microseconds and nanoseconds: the frames that went in', async () => {
    const frames = fixtureFrames('tcp');
    const block = (bytes: Uint8Array) =>
      enhancedPacket({ interface: 0, resolution: 9, micros: WHEN, nanos: 789, bytes, originalLength: bytes.length });
    const source = Buffer.concat([sectionHeader(), interfaceDescription({ name: 'a', resolution: 9 }), ...frames.map(block)]);
    for (const nano of [false, true]) {
      const { frames: out, problem } = await read([rewriteByTcpdump(source, nano)]);
      expect(problem).toBeNull();
      expect(out.map((frame) => frame.bytes)).toEqual(frames);
      expect(out[0].nanos).toBe(nano ? 123_456_789 : 123_456_000);
    }
  });
});
