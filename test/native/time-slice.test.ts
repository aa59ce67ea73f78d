import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { addonPath, binding } from './lab.js';

/** The slice of a thread in milliseconds, from proc_pid_sched: 'se.slice : 0.100000'; null where the kernel does not show it. */
function sliceOf(schedule: string): number | null {
  const shown = /^se\.slice\s*:\s*(\S+)/m.exec(schedule)?.[1];
  return shown === undefined ? null : shown.includes('.') ? Number(shown) : Number(shown) / 1e6;
}

/** Sets it in a worker's thread, and tells what the kernel says of that thread then. */
function slicedWorker(micros: number): Promise<{ result: number; schedule: string }> {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const result = require(workerData.addon).setTimeSlice(workerData.micros);
    let schedule = '';
    try { schedule = require('node:fs').readFileSync('/proc/thread-self/sched', 'utf8'); } catch {}
    parentPort.postMessage({ result, schedule });
  `;
  return new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true, workerData: { addon: addonPath, micros } });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

describe('setTimeSlice', () => {
  test('is for the calling thread only', async () => {
    const { result, schedule } = await slicedWorker(100);
    expect(result).toBe(0);
    const slice = sliceOf(schedule);
    if (slice !== null) expect(slice).toBe(0.1);
    expect(sliceOf(read('/proc/self/sched'))).not.toBe(0.1);
  });

  test('anything but a number of microseconds up to a second is refused', () => {
    for (const value of [0, -1, 1_000_001, 0.5, Number.NaN, '100', undefined, null, {}]) {
      expect(binding.setTimeSlice(value as number)).toBe(-constants.errno.EINVAL);
    }
  });
});

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
