import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MAX_FRAME_BYTES } from '../../src/core/batch.js';
import type { RecordedFrame } from '../../src/port/pcap-reader.js';
import { pcapHeader, pcapRecord } from '../../src/port/pcap-writer.js';
import { collectReplay, loadReplay, type ReplayFrames } from '../../src/port/replay-frames.js';
import { type ReplayOptions, ReplayPort } from '../../src/port/replay-port.js';
import { describeFrame, frameOf, makeBurst, numbered, numberOf, put, vnetOf } from './burst.js';

/** Numbered frames at the given microseconds after some second. */
function recorded(micros: number[]): RecordedFrame[] {
  return micros.map((at, number) => ({
    seconds: 1_790_000_000 + Math.floor((at + 900_000) / 1_000_000),
    nanos: ((at + 900_000) % 1_000_000) * 1000,
    originalLength: 64,
    bytes: numbered(number),
  }));
}

function load(micros: number[]): Promise<ReplayFrames> {
  return collectReplay(recorded(micros), 'x.pcap');
}

/** Pulls at each time; returns what came, as [time, number] pairs. */
function play(port: ReplayPort, times: number[], burst = 64, capacity = 64): [number, number][] {
  const { batch } = makeBurst(capacity);
  const out: [number, number][] = [];
  for (const now of times) {
    batch.begin(0, now);
    port.pull(batch, 2, burst);
    for (let frame = 0; frame < batch.count; frame++) {
      expect(batch.ingress[frame]).toBe(2);
      out.push([now, numberOf(frameOf(batch, frame))]);
    }
  }
  return out;
}

function every(step: number, until: number): number[] {
  return Array.from({ length: Math.floor(until / step) + 1 }, (_, index) => index * step);
}

async function replay(micros: number[], options?: ReplayOptions): Promise<ReplayPort> {
  return new ReplayPort(await load(micros), options);
}

describe('replay port', () => {
  test('speed 1: each frame at its recorded distance from the first pull', async () => {
    const port = await replay([0, 250_000, 250_000, 1_000_000]);
    expect(port.nextDue(77)).toBe(77);
    expect(play(port, [5_000_000, 5_249_999, 5_250_000, 5_900_000, 6_000_000])).toEqual([
      [5_000_000, 0],
      [5_250_000, 1],
      [5_250_000, 2],
      [6_000_000, 3],
    ]);
    expect(port).toMatchObject({ sent: 4, ended: true });
    expect(port.nextDue(0)).toBe(Number.POSITIVE_INFINITY);
  });

  test('nextDue: the time of the next frame', async () => {
    const port = await replay([0, 300]);
    play(port, [1000]);
    expect(port.nextDue(1000)).toBe(1300);
  });

  test('speed 4: a quarter of the time; speed 0.5: twice', async () => {
    expect(play(await replay([0, 400], { speed: 4 }), [0, 99, 100])).toEqual([
      [0, 0],
      [100, 1],
    ]);
    expect(play(await replay([0, 400], { speed: 0.5 }), [0, 799, 800])).toEqual([
      [0, 0],
      [800, 1],
    ]);
  });

  test('speed 0: all at once, a burst a pull', async () => {
    const port = await replay([0, 1_000_000, 2_000_000, 3_000_000, 4_000_000], { speed: 0 });
    expect(play(port, [10, 10, 10], 2)).toEqual([
      [10, 0],
      [10, 1],
      [10, 2],
      [10, 3],
      [10, 4],
    ]);
  });

  test('late once shifts nothing', async () => {
    const port = await replay([0, 100, 200, 300]);
    expect(play(port, [0, 250, 299, 300])).toEqual([
      [0, 0],
      [250, 1],
      [250, 2],
      [300, 3],
    ]);
  });

  test('a full batch: the rest comes in the next pass', async () => {
    const port = await replay([0, 0, 0, 0, 0]);
    expect(play(port, [0, 1, 2], 64, 2).map(([now, number]) => now * 10 + number)).toEqual([0, 1, 12, 13, 24]);
  });

  test('loop: a turn lasts the capture and its mean gap', async () => {
    const port = await replay([0, 100, 200], { loop: true });
    expect(play(port, every(50, 700))).toEqual([
      [0, 0],
      [100, 1],
      [200, 2],
      [300, 0],
      [400, 1],
      [500, 2],
      [600, 0],
      [700, 1],
    ]);
    expect(port.ended).toBe(false);
  });

  test('loop without spacing: once a second, no busy loop', async () => {
    const port = await replay([0], { loop: true });
    expect(play(port, [0, 1, 999_999, 1_000_000, 1_000_001]).map(([now]) => now)).toEqual([0, 1_000_000]);
  });

  test('loop at speed 0: never runs dry', async () => {
    const port = await replay([0, 10], { loop: true, speed: 0 });
    expect(play(port, [0, 0], 3).map(([, number]) => number)).toEqual([0, 1, 0, 1, 0, 1]);
  });

  test('times that go back in the file: sent in file order', async () => {
    expect(play(await replay([500, 100, 600]), [0, 50, 100])).toEqual([
      [0, 0],
      [0, 1],
      [100, 2],
    ]);
  });

  test('frames enter with a clear vnet header; frames it receives are counted and dropped', async () => {
    const port = await replay([0]);
    const burst = makeBurst();
    burst.batch.begin(0, 0);
    port.pull(burst.batch, 2, 64);
    expect(vnetOf(burst.batch, 0)).toEqual(new Uint8Array(12));
    describeFrame(burst, put(burst.batch, 1, numbered(9, 100)), 12, [30]);
    expect(port.deliver(burst.ring, 0, burst.ring.used)).toBe(0);
    expect(port).toMatchObject({ received: 1, receivedBytes: 100 });
  });

  test('closed: sends no more', async () => {
    const port = await replay([0, 10]);
    play(port, [0]);
    port.close();
    expect(play(port, [10])).toEqual([]);
    expect(port.ended).toBe(true);
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('speed %d: refused', async (speed) => {
    const frames = await load([0]);
    expect(() => new ReplayPort(frames, { speed })).toThrow(/^speed is/);
  });
});

describe('loading a replay', () => {
  test('a file: frames, their times, and how many were cut', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tapbridge-'));
    try {
      const path = join(directory, 'a.pcap');
      const records = [0, 1, 2].map((number) =>
        pcapRecord({ micros: 1_790_000_000_999_900 + number * 150, bytes: numbered(number), originalLength: 64 + number }),
      );
      writeFileSync(path, Buffer.concat([pcapHeader(), ...records]));
      const frames = await loadReplay(path);
      expect(frames).toMatchObject({ count: 3, cut: 2 });
      expect([...frames.dueMicros]).toEqual([0, 150, 300]);
      expect([...frames.offset]).toEqual([0, 64, 128]);
      expect(frames.bytes.slice(64, 128)).toEqual(numbered(1));
      expect(frames.bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('only files: a pipe would be waited for, a device may never end', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tapbridge-'));
    try {
      execFileSync('mkfifo', [join(directory, 'pipe')]);
      for (const path of [join(directory, 'pipe'), directory, '/dev/zero']) {
        await expect(loadReplay(path)).rejects.toThrow(`${path}: only a file can be replayed`);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('limits by frames and by bytes, each with what to do', async () => {
    await expect(collectReplay(recorded([0, 1, 2]), 'x', { frames: 2 })).rejects.toMatchObject({ code: 'too-much' });
    await expect(collectReplay(recorded([0, 1, 2]), 'x', { bytes: 191 })).rejects.toThrow(/editcap -F pcap -c/);
    await expect(collectReplay(recorded([0, 1, 2]), 'x', { frames: 3, bytes: 192 })).resolves.toMatchObject({ count: 3 });
  });

  test('no frames, empty frames, frames longer than any: refused', async () => {
    const frame = recorded([0])[0];
    await expect(collectReplay([], 'x')).rejects.toThrow('x: the capture holds no frame');
    await expect(collectReplay([{ ...frame, bytes: new Uint8Array(0) }], 'x')).rejects.toThrow(/frame 1 has 0 bytes/);
    const huge = { ...frame, bytes: new Uint8Array(MAX_FRAME_BYTES + 1) };
    await expect(collectReplay([frame, huge], 'x')).rejects.toThrow(/frame 2 has 65558 bytes/);
  });
});
