/** What it costs to have many ports or many addresses. Many flows: udp-flows. */
import { type BenchType, type Trial, WARM_UP_SHARE } from '../type.js';
import { learn, macOf, macs, offerFrames } from './frame-load.js';
import { SMALL_PAYLOAD_BYTES } from './udp-load.js';
import { throughput } from './udp-throughput.js';

const PORTS = [2, 16, 64, 256];
const ADDRESSES = [100, 10_000, 60_000];

/** Two ports with traffic among idle ones. */
const byPorts: readonly BenchType[] = PORTS.map((ports) => ({
  name: `ports-${ports}`,
  family: 'ports',
  at: { axis: 'ports', value: ports },
  what: `UDP, ${SMALL_PAYLOAD_BYTES}-byte payload, one flow, delivered, on a bridge with ${ports} ports, all but these two idle`,
  unit: 'kpps',
  better: 'higher',
  layer: 2,
  ports,
  measure: (trial) => throughput(trial, SMALL_PAYLOAD_BYTES, 1),
}));

/** Frames to so many addresses in turn, all of them known. */
const byAddresses: readonly BenchType[] = ADDRESSES.map((addresses) => ({
  name: `fdb-${addresses}`,
  family: 'fdb',
  at: { axis: 'addresses', value: addresses },
  what: `raw 64-byte frames to ${addresses.toLocaleString('en')} learned addresses in turn, delivered`,
  unit: 'kpps',
  better: 'higher',
  layer: 2,
  warmUp: async (trial) => {
    await learn(trial, trial.b, macs(0, addresses));
    await toAll(trial, addresses, trial.seconds * WARM_UP_SHARE);
  },
  measure: async (trial) => {
    const { deliveredKpps, delivered, delays, details } = await toAll(trial, addresses, trial.seconds);
    return { value: deliveredKpps, units: delivered, details, delays };
  },
}));

export const GROWTH: readonly BenchType[] = [...byPorts, ...byAddresses];

function toAll({ a, b }: Trial, addresses: number, seconds: number) {
  const source = { first: macOf(a), count: 1 };
  return offerFrames({ from: a, to: b, source, destination: macs(0, addresses), seconds });
}
