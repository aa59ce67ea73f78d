import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ManualClock } from '../../src/core/clock.js';
import { FrameRing } from '../../src/core/frame-ring.js';
import { CaptureFile } from '../../src/port/capture-file.js';
import { CapturePort } from '../../src/port/capture-port.js';
import { parsePcap, type RecordedFrame } from '../../src/port/pcap-reader.js';
import { fixtureFrames, fixtureLines } from '../helpers/fixture.js';
import { describeSystem } from '../helpers/requirements.js';
import { type Burst, describeFrame, makeBurst, numbered, put } from './burst.js';
import { capinfos, tcpdumpLines, tsharkRows } from './tools.js';

const EPOCH = 1_790_000_000_000_000;

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tapbridge-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

interface Capture {
  file: CaptureFile;
  port: CapturePort;
  clock: ManualClock;
  burst: Burst;
  path: string;
}

async function openCapture(name: string, format: 'pcap' | 'pcapng', ringBytes = 1 << 20): Promise<Capture> {
  const path = join(directory, name);
  const file = await CaptureFile.open({ path, format, name: 'web', epochMicros: EPOCH, ringBytes });
  const clock = new ManualClock();
  return { file, port: new CapturePort(file.ring, clock), clock, burst: makeBurst(256), path };
}

/** Delivers frames as one burst, in pieces where given. Returns how many were lost. */
function deliver({ port, burst }: Capture, frames: Uint8Array[], pieces: number[] = []): number {
  burst.batch.begin(0, 0);
  burst.ring.clear();
  for (const frame of frames) describeFrame(burst, put(burst.batch, 1, frame), 0, pieces);
  return port.deliver(burst.ring, 0, burst.ring.used);
}

async function framesOf(path: string): Promise<RecordedFrame[]> {
  const frames: RecordedFrame[] = [];
  for await (const frame of parsePcap([readFileSync(path)], path)) frames.push(frame);
  return frames;
}

describe('capture port', () => {
  test('takes plain frames only, sends nothing', () => {
    const port = new CapturePort(FrameRing.allocate(4096), new ManualClock());
    expect(port).toMatchObject({ kind: 'capture', descriptor: -1, headerBytes: 0, udpSegmentation: false });
    const { batch } = makeBurst();
    batch.begin(0, 0);
    port.pull(batch, 0, 64);
    expect(batch.count).toBe(0);
    expect(port.nextDue(0)).toBe(Number.POSITIVE_INFINITY);
  });

  test('pcap: frames in order, in one piece or several, with the time of their burst', async () => {
    const capture = await openCapture('order.pcap', 'pcap');
    capture.clock.now = 5_000_000_000_007;
    expect(deliver(capture, [numbered(1), numbered(2, 1514)])).toBe(0);
    capture.clock.now += 3;
    expect(deliver(capture, [numbered(3, 200)], [54, 100])).toBe(0);
    await capture.file.close();
    await capture.file.close();
    const frames = await framesOf(capture.path);
    expect(frames.map((frame) => frame.bytes)).toEqual([numbered(1), numbered(2, 1514), numbered(3, 200)]);
    expect(frames.map((frame) => [frame.seconds, frame.nanos])).toEqual([
      [1_795_000_000, 7_000],
      [1_795_000_000, 7_000],
      [1_795_000_000, 10_000],
    ]);
    expect(capture.file).toMatchObject({ written: 3, lost: 0, error: null });
  });

  test('snap length: the start is kept, the length told', async () => {
    const path = join(directory, 'snap.pcap');
    const file = await CaptureFile.open({ path, format: 'pcap', name: 'web', epochMicros: EPOCH });
    const port = new CapturePort(file.ring, new ManualClock(), 20);
    const capture = { file, port, clock: new ManualClock(), burst: makeBurst(), path };
    deliver(capture, [numbered(1, 100)], [10, 30]);
    deliver(capture, [numbered(2, 16)]);
    await file.close();
    const frames = await framesOf(path);
    expect(frames.map((frame) => [frame.bytes.length, frame.originalLength])).toEqual([
      [20, 100],
      [16, 16],
    ]);
    expect(frames[0].bytes).toEqual(numbered(1, 100).slice(0, 20));
  });

  test('a ring nobody empties: what does not fit is lost and counted, the rest is whole', async () => {
    const capture = await openCapture('full.pcap', 'pcap', 4096);
    // One turn of this thread: the file cannot read meanwhile, as a slow disk would not.
    const lost = deliver(
      capture,
      Array.from({ length: 100 }, (_, number) => numbered(number, 100)),
    );
    expect(lost).toBeGreaterThan(50);
    await capture.file.close();
    expect(capture.file.lost).toBe(lost);
    expect((await framesOf(capture.path)).map((frame) => frame.bytes)).toEqual(
      Array.from({ length: 100 - lost }, (_, number) => numbered(number, 100)),
    );
  });

  test('a disk without space: the capture stops, later frames are lost and counted, nothing throws', async () => {
    const path = '/dev/full';
    const options = { path, format: 'pcap', name: 'web', epochMicros: EPOCH, ringBytes: 4096 } as const;
    const file = CaptureFile.onto(await open(path, 'w'), options);
    const capture = {
      file,
      port: new CapturePort(file.ring, new ManualClock()),
      clock: new ManualClock(),
      burst: makeBurst(),
      path,
    };
    while (file.error === null) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(file.error).toMatchObject({ code: 'ENOSPC', syscall: 'write' });
    const frames = Array.from({ length: 60 }, (_, number) => numbered(number, 100));
    const first = deliver(capture, frames);
    expect(first).toBeLessThan(60);
    expect(deliver(capture, frames)).toBe(60);
    expect(file).toMatchObject({ written: 0, lost: first + 60 });
    await file.close();
  });

  test('closed: every frame is lost', async () => {
    const capture = await openCapture('closed.pcap', 'pcap');
    capture.port.close();
    expect(deliver(capture, [numbered(1), numbered(2)])).toBe(2);
    await capture.file.close();
    expect(await framesOf(capture.path)).toEqual([]);
  });

  test('more than one chunk: 20 MB arrive whole while the file is written', async () => {
    const capture = await openCapture('large.pcap', 'pcap', 1 << 20);
    let sent = 0;
    while (sent < 14_000) {
      const frames = Array.from({ length: 100 }, (_, index) => numbered(sent + index, 1500));
      expect(deliver(capture, frames)).toBe(0);
      sent += 100;
      while (waiting(capture.file) > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await capture.file.close();
    const frames = await framesOf(capture.path);
    expect(frames.length).toBe(sent);
    expect(frames.every((frame, number) => Buffer.from(frame.bytes).readUInt32BE(0) === number)).toBe(true);
  });

  test('the file is private and new: nothing that is there is written over, nor what a link leads to', async () => {
    const capture = await openCapture('mode.pcap', 'pcap');
    deliver(capture, [numbered(1)]);
    await capture.file.close();
    expect(statSync(capture.path).mode & 0o777).toBe(0o600);
    await expect(openCapture('mode.pcap', 'pcap')).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await framesOf(capture.path)).toHaveLength(1);
    symlinkSync(join(directory, 'planted'), join(directory, 'link.pcap'));
    await expect(openCapture('link.pcap', 'pcap')).rejects.toMatchObject({ code: 'EEXIST' });
    expect(existsSync(join(directory, 'planted'))).toBe(false);

    const options = { format: 'pcap', name: 'web', epochMicros: EPOCH } as const;
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    await expect(CaptureFile.open({ ...options, path: join(directory, 'pipe') })).rejects.toThrow(/is a pipe or socket/);
    await expect(CaptureFile.open({ ...options, path: join(directory, 'no', 'such') })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(CaptureFile.open({ ...options, path: directory })).rejects.toMatchObject({ code: 'EEXIST' });
    expect(existsSync(join(directory, 'no'))).toBe(false);
  });
});

/** Bytes the ring holds: head less tail, see core/frame-ring. */
function waiting(file: CaptureFile): number {
  const control = new Int32Array(file.ring, 0, 2);
  return (Atomics.load(control, 0) - Atomics.load(control, 1)) >>> 0;
}

describeSystem('capture port read by other programs', ['tool:tcpdump', 'tool:tshark', 'tool:capinfos'], () => {
  test('pcapng: frames as in the original, port name, direction, statistics', async () => {
    const capture = await openCapture('all.pcapng', 'pcapng');
    deliver(capture, fixtureFrames('tcp'));
    await capture.file.close();
    const bytes = readFileSync(capture.path);
    expect(tcpdumpLines(bytes, ['-e', '-S', '-t'])).toEqual(fixtureLines('tcp'));
    const rows = tsharkRows(bytes, ['frame.interface_name', 'frame.packet_flags_direction']);
    expect(new Set(rows.map((row) => row.join(' ')))).toEqual(new Set(['web 0x00000002']));
    const text = capinfos(bytes);
    expect(text).not.toMatch(/error|cut short|damaged|malformed/i);
    expect(text).toMatch(/Capture application: +tapbridge/);
  });
});
