/** Everything there is to choose from, in the order of the report. */
import type { Driver } from './driver.js';
import { dockerBridgeAwake, dockerNatAwake, tapbridgeAsleep, tapbridgeNatAsleep } from './drivers/awake.js';
import { dockerBridge } from './drivers/docker-bridge.js';
import { dockerNat } from './drivers/docker-nat.js';
import { dockerTapbridge, dockerTapbridgeNat } from './drivers/docker-tapbridge.js';
import { docker0, docker0Nat } from './drivers/docker0.js';
import { kernelBridge } from './drivers/kernel-bridge.js';
import { kernelTuned } from './drivers/kernel-tuned.js';
import { natRelay } from './drivers/nat-relay.js';
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
import { NO_OFFLOADS } from './types/no-offloads.js';
import { pingIdle, pingRtt } from './types/ping.js';
import { PING_PAUSES } from './types/ping-pause.js';
import { REQUESTS } from './types/requests.js';
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
  dockerBridgeAwake,
  tapbridge,
  tapbridgeAsleep,
  tapbridgeThreads,
  ovs,
  vde,
  pasta,
  slirp4netns,
  tapRelay,
  veth,
  dockerNat,
  dockerNatAwake,
  tapbridgeNat,
  tapbridgeNatAsleep,
  natRelay,
  docker0,
  dockerTapbridge,
  docker0Nat,
  dockerTapbridgeNat,
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
  ...NO_OFFLOADS,
  pingRtt,
  udpRr,
  pingIdle,
  ...PING_PAUSES,
  ...NAT_TYPES,
  ...REQUESTS,
];

/** What runs without --drivers: the first one that can run here is the reference. */
export const DEFAULT_DRIVERS = ['docker-bridge', 'kernel-bridge', 'tapbridge'];
/** What runs without --types. */
export const DEFAULT_TYPES = ['udp-64', 'udp-16-flows', 'udp-1446', 'tcp-1', 'tcp-8', 'tcp-rr', 'ping-idle'];
/** Without the relay, which needs Linux 6.4 and a compiler. */
export const DEFAULT_NAT_DRIVERS = ['docker-nat', 'tapbridge-nat'];
/** Without requests, which need servers and their generators. */
export const DEFAULT_NAT_TYPES = NAT_TYPES.map(({ name }) => name);

/** And with --quick. */
export const QUICK_TYPES = ['udp-64', 'tcp-1', 'ping-idle'];

/**
 * What there is to compare: bridges, or gateways that translate between a container and the outside, and the same with real containers of a Docker
 * engine. A type of one says nothing about another.
 */
export const SETS = ['bridge', 'nat', 'docker', 'docker-nat'] as const;
export type SetName = (typeof SETS)[number];

/** Names of the drivers of a set. */
export function driversIn(set: SetName): string[] {
  return DRIVERS.filter((driver) => setOf(driver) === set).map(({ name }) => name);
}

/** Names of the types that its drivers can meet: real containers all but those with further ports. */
export function typesIn(set: SetName): string[] {
  const docker = set === 'docker' || set === 'docker-nat';
  const nat = set === 'nat' || set === 'docker-nat';
  const fitting = TYPES.filter((type) => (type.nat ?? false) === nat && (!docker || (type.ports ?? 2) === 2));
  return fitting.map(({ name }) => name);
}

export function setOf({ nat = false, containers = false }: Pick<Driver, 'nat' | 'containers'>): SetName {
  if (containers) return nat ? 'docker-nat' : 'docker';
  return nat ? 'nat' : 'bridge';
}
