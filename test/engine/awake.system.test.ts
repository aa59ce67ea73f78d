import { closeSync, openSync, readSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Awake, openCores, whyCoresSleep } from '../../src/engine/awake.js';
import { openDescriptors } from '../helpers/descriptors.js';
import { describeSystem } from '../helpers/requirements.js';

const DEVICE = '/dev/cpu_dma_latency';

/** The strictest latency anybody asks for, µs, as the kernel says it. */
function strictest(): number {
  const descriptor = openSync(DEVICE, 'r');
  const value = Buffer.alloc(4);
  readSync(descriptor, value);
  closeSync(descriptor);
  return value.readInt32LE();
}

const opened = () => openDescriptors(DEVICE);

// Others on this machine may ask for the same: what can be seen is that it is asked for, not that it is no longer.
describeSystem('the kernel lets idle cores poll', ['awake'], () => {
  test('while there is traffic', () => {
    expect(whyCoresSleep()).toBeNull();
    const before = opened();
    const awake = new Awake(openCores());
    expect(opened()).toBe(before + 1);
    for (let now = 0; now <= 20_000; now += 100) awake.pass(1, now);
    expect([awake.on, strictest()]).toEqual([true, 0]);
    for (let now = 20_000; now <= 60_000; now += 5000) awake.pass(0, now);
    expect(awake.on).toBe(false);
    awake.close();
    expect(opened()).toBe(before);
  });
});
