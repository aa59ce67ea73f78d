import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchType, Measurement, Trial } from '../type.js';
import { BROADCAST, macOf, SMALL_FRAME_BYTES, spareFrames } from './frame-load.js';
import { BURST, nextToken } from './udp-load.js';

const PORTS = [2, 8, 32, 128, 256];
/** For what is still on its way when the sender has ended. */
const DRAIN_MILLIS = 200;

/** RFC 2889, 5.10: one port sends, all others receive. Copies are counted by the interfaces, as no program could read them all. */
export const BROADCASTS: readonly BenchType[] = PORTS.map((ports) => ({
  name: `broadcast-${ports}`,
  family: 'broadcast',
  at: { axis: 'ports', value: ports },
  what: `broadcasts of 64-byte frames as fast as the sender can, ${ports} ports, copies delivered to all others`,
  unit: 'k copies/s',
  better: 'higher',
  layer: 2,
  ports,
  measure: (trial) => broadcastOver(trial, 0),
}));

/** @param frames 0: until the time is over */
export async function broadcastOver({ a, b, spare, seconds }: Trial, frames: number): Promise<Measurement> {
  const everybody = [{ namespace: b.namespace, ifname: 'eth0' }, ...spare];
  const before = spareFrames(everybody);
  const sent = await a.request('traffic-frame-send', {
    ifname: 'eth0',
    frameBytes: SMALL_FRAME_BYTES,
    source: { first: macOf(a), count: 1 },
    destination: { first: BROADCAST, count: 1 },
    burst: BURST,
    durationMillis: seconds * 1000,
    frames,
    framesPerSecond: 0,
    token: nextToken(),
  });
  await sleep(DRAIN_MILLIS);
  const copies = spareFrames(everybody).map((count, index) => count - before[index]);
  const all = copies.reduce((sum, count) => sum + count, 0);
  return {
    value: (all / sent.micros) * 1000,
    units: all,
    details: {
      offered: sent.frames,
      refused: sent.refused,
      offeredKpps: (sent.frames / sent.micros) * 1000,
      // The interfaces' few foreign frames are in the counts.
      lost: Math.max(0, sent.frames * copies.length - all),
      leastOfAPort: Math.min(...copies),
      mostOfAPort: Math.max(...copies),
      senderCores: sent.cpuMicros / sent.micros,
    },
  };
}
