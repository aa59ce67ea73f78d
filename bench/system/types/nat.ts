/**
 * The way out and back in: a is a container, b a host outside, the driver's gateway translates between them. Each type is one of the others with
 * b behind the translation; what differs is said where it differs.
 */
import { OUTSIDE_NETWORK } from '../drivers/nat-uplink.js';
import type { BenchType, Trial } from '../type.js';
import { pingIdle, pingRtt } from './ping.js';
import { tcpConnect } from './tcp-ask.js';
import { tcp1 } from './tcp-bulk.js';
import { offerLoad, SMALL_PAYLOAD_BYTES } from './udp-load.js';
import { throughput } from './udp-throughput.js';

const FLOWS = 256;
/** What both gateways' tables hold by default, less room for what else there is. */
const LIVE_FLOWS = 262_000;
/** So fast that none is lost. */
const FILL_RATE = 150_000;
const FILL_SECONDS = 10;

/** One flow of the smallest datagrams, translated. */
const udpOut: BenchType = {
  name: 'nat-udp-64',
  family: 'nat-udp',
  at: { axis: 'flows', value: 1 },
  what: `UDP, ${SMALL_PAYLOAD_BYTES}-byte payload, one flow from the container to the outside, delivered`,
  unit: 'kpps',
  better: 'higher',
  layer: 3,
  nat: true,
  measure: (trial) => throughput(trial, SMALL_PAYLOAD_BYTES, 1),
};

/** As many flows as b is addressed by: they share their source, and so one mapping of the translation. */
const udpFlowsOut: BenchType = {
  ...udpOut,
  name: 'nat-udp-256-flows',
  at: { axis: 'flows', value: FLOWS },
  what: `UDP, ${SMALL_PAYLOAD_BYTES}-byte payload, ${FLOWS} flows to the outside that take turns datagram by datagram, delivered`,
  measure: (trial) => throughput(trial, SMALL_PAYLOAD_BYTES, FLOWS, OUTSIDE_NETWORK),
};

/** The same flow beside as many others as the table holds, each of which has sent one datagram. */
const udpBesideMany: BenchType = {
  ...udpOut,
  name: 'nat-udp-64-full-table',
  at: { axis: 'live flows', value: LIVE_FLOWS },
  what: `${udpOut.what}, beside ${LIVE_FLOWS.toLocaleString('en')} live flows`,
  warmUp: async (trial) => {
    const flows = { flows: LIVE_FLOWS, frames: LIVE_FLOWS, toward: OUTSIDE_NETWORK };
    await offerLoad(trial, { seconds: FILL_SECONDS, rate: FILL_RATE, ...flows });
  },
  measure: (trial) => throughput(trial, SMALL_PAYLOAD_BYTES, 1),
};

function translated(type: BenchType, name: string, what: string, family = 'nat-tcp'): BenchType {
  return { ...type, name, family, what, nat: true };
}

/** b opens the streams, to the port of the host that leads to a. */
function fromOutside(trial: Trial): Trial {
  const { a, b, addressOfA, addressOfB } = trial;
  return { ...trial, a: b, b: a, addressOfA: addressOfB, addressOfB: addressOfA };
}

const tcpOut = translated(
  tcp1,
  'nat-tcp-out',
  "TCP, one stream from the container to the outside, the machine's congestion control",
);
const tcpIn: BenchType = {
  ...translated(tcp1, 'nat-tcp-in', "TCP, one stream from outside to a published port, the machine's congestion control"),
  warmUp: async (trial) => tcp1.warmUp?.(fromOutside(trial)),
  measure: (trial) => tcp1.measure(fromOutside(trial)),
};

export const NAT_TYPES: readonly BenchType[] = [
  udpOut,
  udpFlowsOut,
  udpBesideMany,
  tcpOut,
  tcpIn,
  translated(tcpConnect, 'nat-tcp-connect', `${tcpConnect.what}, from the container to the outside`, 'nat-tcp-connect'),
  translated(pingRtt, 'nat-ping', `${pingRtt.what}, from the container to the outside`, 'nat-ping'),
  translated(pingIdle, 'nat-ping-idle', `${pingIdle.what}, from the container to the outside`, 'nat-ping'),
];
