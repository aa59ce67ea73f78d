/** Everything there is to choose from, in the order of the report. */
import type { Driver } from './driver.js';
import { dockerBridge } from './drivers/docker-bridge.js';
import { dockerNat } from './drivers/docker-nat.js';
import { kernelBridge } from './drivers/kernel-bridge.js';
import { kernelTuned } from './drivers/kernel-tuned.js';
import { ovs } from './drivers/ovs.js';
import { pasta } from './drivers/pasta.js';
import { slirp4netns } from './drivers/slirp4netns.js';
import { tapRelay } from './drivers/tap-relay.js';
import { tapbridge } from './drivers/tapbridge.js';
import { tapbridgeNat } from './drivers/tapbridge-nat.js';
import { tapbridgeThreads } from './drivers/tapbridge-threads.js';
import { vde } from './drivers/vde.js';
import { veth } from './drivers/veth.js';
import type { BenchType } from './type.js';
import { BROADCASTS } from './types/broadcast.js';
import { burst } from './types/burst.js';
import { cachingCapacity } from './types/caching-capacity.js';
import { cpuPerPacket } from './types/cpu-per-packet.js';
import { GROWTH } from './types/growth.js';
import { LATENCY } from './types/latency.js';
import { learningRate } from './types/learning-rate.js';
import { memory } from './types/memory.js';
import { NAT_TYPES } from './types/nat.js';
import { pingIdle, pingRtt } from './types/ping.js';
import { tcpConnect, tcpRr } from './types/tcp-ask.js';
import { tcp1, tcp1Cubic, tcp1Reno, tcp1Reverse, tcp8 } from './types/tcp-bulk.js';
import { tcp1Iperf3 } from './types/tcp-iperf3.js';
import { udpLoss80, udpLossCurve, udpZeroLoss } from './types/udp-loss.js';
import { udpRr } from './types/udp-rr.js';
import { UDP_FLOWS, UDP_SIZES } from './types/udp-throughput.js';

export const DRIVERS: readonly Driver[] = [
  dockerBridge,
  kernelBridge,
  kernelTuned,
  tapbridge,
  tapbridgeThreads,
  ovs,
  vde,
  pasta,
  slirp4netns,
  tapRelay,
  veth,
  dockerNat,
  tapbridgeNat,
];
export const TYPES: readonly BenchType[] = [
  ...UDP_SIZES,
  ...UDP_FLOWS,
  udpZeroLoss,
  udpLossCurve,
  udpLoss80,
  ...LATENCY,
  burst,
  learningRate,
  cachingCapacity,
  ...BROADCASTS,
  ...GROWTH,
  cpuPerPacket,
  memory,
  tcp1,
  tcp8,
  tcp1Cubic,
  tcp1Reno,
  tcp1Reverse,
  tcp1Iperf3,
  tcpRr,
  tcpConnect,
  pingRtt,
  udpRr,
  pingIdle,
  ...NAT_TYPES,
];

/** What runs without --drivers: the first one that can run here is the reference. */
export const DEFAULT_DRIVERS = ['docker-bridge', 'kernel-bridge', 'tapbridge'];
/** What runs without --types. */
export const DEFAULT_TYPES = ['udp-64', 'udp-16-flows', 'udp-1446', 'tcp-1', 'tcp-8', 'tcp-rr', 'ping-idle'];
/** And with --quick. */
export const QUICK_TYPES = ['udp-64', 'tcp-1', 'ping-idle'];

/** What there is to compare: bridges, or gateways that translate between a container and the outside. A type of one says nothing about the other. */
export const SETS = ['bridge', 'nat'] as const;
export type SetName = (typeof SETS)[number];

/** Names of what belongs to a set. */
export function namesOf(all: readonly { name: string; nat?: boolean }[], set: SetName): string[] {
  return all.filter(({ nat = false }) => nat === (set === 'nat')).map(({ name }) => name);
}
