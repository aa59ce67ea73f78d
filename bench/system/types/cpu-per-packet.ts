import { setTimeout as sleep } from 'node:timers/promises';
import { cpuTimes } from '../../machine.js';
import type { BenchType, Measurement, Trial } from '../type.js';
import { offerLoad } from './udp-load.js';

const RATE = 100_000;
/** How long the machine is looked at without traffic. */
const IDLE_MILLIS = 500;
/** A driver that is slower gets the time it needs for the same work. */
const SLOWEST = 4;

/** Fixed work: so many datagrams, and what all cores did for them beyond what they do without, the kernel's interrupts and the hosts included. */
export const cpuPerPacket: BenchType = {
  name: 'cpu-per-packet',
  family: 'cpu-per-packet',
  what: `CPU time of the whole machine per delivered datagram, ${RATE / 1000},000 a second of 18 bytes, over that of the idle machine`,
  unit: 'ns',
  better: 'lower',
  layer: 3,
  steps: 2,
  measure,
};

async function measure(trial: Trial): Promise<Measurement> {
  const resting = cpuTimes();
  await sleep(IDLE_MILLIS);
  const before = cpuTimes();
  const frames = Math.max(1, Math.round(RATE * trial.seconds));
  const { delivered, details } = await offerLoad(trial, {
    seconds: trial.seconds * SLOWEST,
    rate: RATE,
    frames,
    integrity: true,
  });
  const after = cpuTimes();
  if (delivered === 0) throw new Error('nothing was delivered');
  const idleCores = (before.busy - resting.busy) / (before.at - resting.at);
  const busy = after.busy - before.busy - idleCores * (after.at - before.at);
  if (busy <= 0) throw new Error('the machine had more to do without the traffic than with it');
  return { value: (busy * 1e9) / delivered, units: 0, details: { idleCores, ...details } };
}
