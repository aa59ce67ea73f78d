/** A capture between an engine that fills the ring and a reader that takes its time. */
import { describe, expect, test } from 'vitest';
import { type PcapngEvent, PcapngReader } from '../../src/client/pcapng-reader.js';
import { CaptureSession } from '../../src/control/capture-session.js';
import type { ControlContext } from '../../src/control/context.js';
import type { CaptureOptions } from '../../src/control/model.js';
import type { BridgeRecord } from '../../src/control/records.js';
import { Field, FrameRing } from '../../src/core/frame-ring.js';
import type { CaptureSettings } from '../../src/engine/protocol.js';

const MONOTONIC = 5_000_000_000_000;

/** An engine that only captures, and the session on its ring. */
async function capture(options: CaptureOptions = {}, dies = false) {
  const port = { number: 3, name: 'web', kind: 'tap', mac: null, netns: 'web', pid: null };
  const bridge = {
    number: 0,
    name: 'tb0',
    host: { ...port, number: 0, name: 'tb0', kind: 'host' },
    ports: new Map([['web', port]]),
  };
  let ring = new FrameRing(FrameRing.allocate(4096));
  const calls: string[] = [];
  const context = {
    binding: { monotonicMicros: () => MONOTONIC },
    ports: new Map([bridge.host, port].map((each) => [each.number, { bridge, port: each }])),
    engine: {
      call: async (name: string, args: { settings: CaptureSettings }) => {
        calls.push(name);
        if (dies && name === 'stop-capture') throw new Error('the engine died');
        if (name === 'start-capture') ring = new FrameRing(args.settings.ring);
        return { lost: ring.lost };
      },
    },
  };
  const closed = { times: 0 };
  const record = bridge as unknown as BridgeRecord;
  const session = new CaptureSession(context as unknown as ControlContext, record, 7, options, () => {
    closed.times++;
  });
  await session.start(-1);
  const fields = new Int32Array(7);
  /** As engine/captures does it. */
  const send = (length: number, port = 3) => {
    const micros = MONOTONIC + length;
    fields[Field.port] = port;
    fields[Field.direction] = 1;
    fields[Field.originalLength] = length;
    fields[Field.microsLow] = (micros % 0x1_0000_0000) | 0;
    fields[Field.microsHigh] = Math.floor(micros / 0x1_0000_0000);
    if (ring.write(new Uint8Array(length).fill(length), 0, length, fields) === 2) session.arrived();
  };
  return { session, send, calls, closed };
}

async function readAll(session: CaptureSession): Promise<PcapngEvent[]> {
  const reader = new PcapngReader();
  const events: PcapngEvent[] = [];
  for (let chunk = await session.next(); chunk !== null; chunk = await session.next()) events.push(...reader.push(chunk));
  return events;
}

const framesOf = (events: PcapngEvent[]) => events.filter((event) => event.kind === 'frame');

describe('capture session', () => {
  test('frames with port, direction, bytes and wall clock; statistics at the end', async () => {
    const { session, send, calls, closed } = await capture();
    const before = Date.now() * 1000;
    const events = readAll(session);
    send(60);
    send(61, 9);
    await new Promise((resolve) => setImmediate(resolve));
    send(62, 0);
    await session.end();
    const frames = framesOf(await events);
    expect(frames.map(({ port, direction, originalLength }) => [port, direction, originalLength])).toEqual([
      ['web', 'in', 60],
      ['port 9', 'in', 61],
      ['tb0', 'in', 62],
    ]);
    expect([...frames[0].bytes]).toEqual(new Array(60).fill(60));
    expect(frames[0].micros).toBeGreaterThanOrEqual(before);
    expect(frames[2].micros - frames[0].micros).toBe(2);
    expect(await events).toContainEqual({ kind: 'statistics', dropped: 0 });
    expect(calls).toEqual(['start-capture', 'stop-capture']);
    expect(closed.times).toBe(1);
  });

  test('count: exactly so many, then it ends by itself', async () => {
    const { session, send, calls } = await capture({ count: 2 });
    for (const length of [60, 61, 62, 63]) send(length);
    const events = await readAll(session);
    expect(framesOf(events).map(({ originalLength }) => originalLength)).toEqual([60, 61]);
    expect(calls).toEqual(['start-capture', 'stop-capture']);
  });

  test('a reader that does not read: memory stays bounded, the loss is counted', async () => {
    const { session, send } = await capture();
    const count = 10_000;
    for (let sent = 0; sent < count; sent++) send(1500);
    await session.end();
    const events = await readAll(session);
    const lost = events.reduce((sum, event) => sum + (event.kind === 'statistics' ? event.dropped : 0), 0);
    expect(lost).toBeGreaterThan(0);
    expect(framesOf(events).length + lost).toBe(count);
    expect(framesOf(events).length * 1500).toBeLessThan(4 << 20);
  });

  test('a reader that left: the engine is told once, and waiting ends', async () => {
    const { session, calls, closed } = await capture();
    await session.next();
    const waiting = session.next();
    await session.close();
    expect(await waiting).toBeNull();
    await session.end();
    expect(calls).toEqual(['start-capture', 'stop-capture']);
    expect(closed.times).toBe(1);
  });

  test('an engine that died: the reader gets what is there and the summary, and nothing is thrown where nobody listens', async () => {
    const { session, send, closed } = await capture({ duration: 0.001 }, true);
    send(60);
    const events = await readAll(session);
    expect(framesOf(events).map(({ originalLength }) => originalLength)).toEqual([60]);
    expect(events).toContainEqual({ kind: 'statistics', dropped: 0 });
    expect(closed.times).toBe(1);
  });

  test('the reader copes with blocks in any cut', async () => {
    const { session, send } = await capture();
    send(60);
    send(1000);
    await session.end();
    const chunks: Uint8Array[] = [];
    for (let chunk = await session.next(); chunk !== null; chunk = await session.next()) chunks.push(chunk);
    const whole = Buffer.concat(chunks);
    for (const size of [1, 7, 64]) {
      const reader = new PcapngReader();
      const events: PcapngEvent[] = [];
      for (let at = 0; at < whole.length; at += size) events.push(...reader.push(whole.subarray(at, at + size)));
      expect(framesOf(events).map(({ originalLength }) => originalLength)).toEqual([60, 1000]);
    }
    expect(() => [...new PcapngReader().push(Buffer.from('this is no capture at all'))]).toThrow('damaged');
  });
});
