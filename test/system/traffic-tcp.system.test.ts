/** The TCP half of the traffic addon over a bare veth pair: what it counts is what was sent, and garbage from TypeScript is refused. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectHosts } from '../../src/lab/connect-hosts.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { describeSystem } from '../helpers/requirements.js';

const A = '198.18.0.1';
const B = '198.18.0.2';
const PORT = 5002;
const PATIENT = { idleMillis: 5000 };

describeSystem('traffic: tcp over a bare veth pair', ['root'], () => {
  let lab: Lab;
  let a: LabHost;
  let b: LabHost;

  beforeAll(async () => {
    lab = Lab.create('tbtcp');
    [a, b] = await Promise.all([lab.host('a'), lab.host('b')]);
    connectHosts(a, A, b, B);
  });
  afterAll(() => lab.close());

  for (const streams of [1, 8]) {
    for (const checkAll of [false, true]) {
      test(`${streams} streams, ${checkAll ? 'every byte' : 'samples'} compared: what was sent arrives`, async () => {
        await b.request('traffic-tcp-listen', { port: PORT });
        const [sent, received] = await Promise.all([
          a.request('traffic-tcp-send', { address: B, port: PORT, streams, durationMillis: 10_000, bytes: 4_000_001 }),
          b.request('traffic-tcp-receive', { port: PORT, streams, checkAll, ...PATIENT }),
        ]);
        expect([sent.bytes, received.bytes]).toEqual([streams * 4_000_001, streams * 4_000_001]);
        expect(received.streams.map(({ bytes, wrongAt }) => [bytes, wrongAt])).toEqual(Array(streams).fill([4_000_001, -1]));
        expect(sent.streams.every(({ minRttMicros }) => minRttMicros > 0)).toBe(true);
        expect(received.micros).toBeGreaterThan(0);
      });
    }
  }

  test('the end that accepts may send', async () => {
    await b.request('traffic-tcp-listen', { port: PORT, congestion: 'reno' });
    const [sent, received] = await Promise.all([
      b.request('traffic-tcp-send', { port: PORT, streams: 2, durationMillis: 100, bytes: 0 }),
      a.request('traffic-tcp-receive', { address: B, port: PORT, streams: 2, checkAll: true, ...PATIENT }),
    ]);
    expect(received.bytes).toBe(sent.bytes);
    expect(received.streams.map(({ wrongAt }) => wrongAt)).toEqual([-1, -1]);
  });

  test('bytes of another pattern: the receiver says from where on', async () => {
    for (const checkAll of [false, true]) {
      await b.request('traffic-tcp-listen', { port: PORT });
      const [received] = await Promise.all([
        b.request('traffic-tcp-receive', { port: PORT, checkAll, ...PATIENT }),
        a.tcpSend({ address: B, port: PORT, bytes: 1_000_000 }),
      ]);
      // Four bytes of it are taken for the phase; by chance the next few may fit.
      expect(received).toMatchObject({ bytes: 999_996 });
      expect(received.streams[0].wrongAt).toBeGreaterThanOrEqual(0);
      expect(received.streams[0].wrongAt).toBeLessThan(10);
    }
  });

  test('questions on one connection, and on one each: all answered, each with its delay', async () => {
    for (const anew of [false, true]) {
      await b.request('traffic-tcp-listen', { port: PORT });
      const [asked, answered] = await Promise.all([
        a.request('traffic-tcp-ask', { address: B, port: PORT, anew, durationMillis: 100, timeoutMillis: 5000 }),
        b.request('traffic-tcp-answer', { port: PORT, anew, ...PATIENT }),
      ]);
      expect(asked.answered).toBeGreaterThan(0);
      expect(answered.answered).toBe(asked.answered);
      expect(asked.delays.reduce((sum, [, count]) => sum + count, 0)).toBe(asked.answered);
      expect(asked.delays.at(-1)?.[0]).toBeGreaterThanOrEqual(asked.maxDelayNanos);
    }
  });

  test('nobody comes, nobody is there, no such congestion control: errors with their code', async () => {
    const send = { address: B, port: 5999, durationMillis: 1, bytes: 0 };
    await b.request('traffic-tcp-listen', { port: PORT });
    await expect(
      b.request('traffic-tcp-receive', { port: PORT, startMillis: 10, checkAll: false, ...PATIENT }),
    ).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await b.request('traffic-tcp-listen', { port: PORT });
    await expect(b.request('traffic-tcp-answer', { port: PORT, anew: true, idleMillis: 10 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    });
    await expect(a.request('traffic-tcp-send', send)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(a.request('traffic-tcp-send', { ...send, congestion: 'swift' })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a stream that falls silent fails the trial', async () => {
    await b.request('traffic-tcp-listen', { port: PORT });
    const receiving = expect(
      b.request('traffic-tcp-receive', { port: PORT, checkAll: false, idleMillis: 100 }),
    ).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    // One question, which a sink does not answer.
    const ask = { address: B, port: PORT, anew: false, durationMillis: 1000, timeoutMillis: 5000 };
    await expect(a.request('traffic-tcp-ask', ask)).rejects.toMatchObject({ code: 'EPROTO' });
    await receiving;
  });

  test('arguments out of range are refused', async () => {
    const send = { address: B, port: PORT, durationMillis: 1, bytes: 1 };
    for (const bad of [{ address: 'b' }, { port: 70_000 }, { congestion: 'c'.repeat(16) }, { congestion: 'a\0b' }]) {
      await expect(a.request('traffic-tcp-send', { ...send, ...bad })).rejects.toMatchObject({ code: 'EINVAL' });
    }
    const ask = { address: B, port: PORT, anew: false, durationMillis: 1, timeoutMillis: 1 };
    for (const bad of [{ address: 'b' }, { port: -1 }, { durationMillis: -1 }, { timeoutMillis: 0 }, { durationMillis: 1e9 }]) {
      await expect(a.request('traffic-tcp-ask', { ...ask, ...bad })).rejects.toMatchObject({ code: 'EINVAL' });
    }
  });
});
