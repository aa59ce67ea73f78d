/**
 * What /metrics shows: each family with its meaning, and how its samples come out of a look at the daemon (control/telemetry.ts) and at the process.
 * docs/daemon.md has them as a table, and a test compares.
 *
 * Cardinality: names of labels are fixed; their values are names of counters and reasons, and what the daemon has at that moment: at most 256 bridges,
 * 1,024 ports, 16 uplinks, 16 outer addresses with three protocols. A port with all its reasons is some 40 samples. Addresses of the network, MACs,
 * ids of containers and flows are no labels.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Telemetry } from '../control/telemetry.js';
import {
  BRIDGE_COUNTERS,
  type BridgeCounter,
  DROP_REASONS,
  type DropReason,
  GATEWAY_COUNTERS,
  GATEWAY_DROPS,
  type GatewayCounter,
  INTERFACE_DROP_REASONS,
  type InterfaceDrop,
  PORT_COUNTERS,
  type PortCounter,
} from '../core/counters.js';
import { exposition, type Family, type Sample } from './prometheus.js';
import { packageVersion } from './version.js';

/** A family and how it is read. */
export interface Metric extends Family {
  read(telemetry: Telemetry): Sample[];
}

type PortDrop = DropReason | InterfaceDrop;
const PORT_DROPS = [...Object.keys(DROP_REASONS), ...Object.keys(INTERFACE_DROP_REASONS)] as PortDrop[];
/** Frames, bytes and packets are families of their own, drops too: what is left is what became of frames. */
const TOTALS: readonly PortCounter[] = ['rx_frames', 'rx_bytes', 'rx_packets', 'tx_frames', 'tx_bytes', 'tx_packets'];
const PORT_EVENTS = PORT_COUNTERS.filter((name) => !TOTALS.includes(name) && !(name in DROP_REASONS));
const GATEWAY_EVENTS = GATEWAY_COUNTERS.filter((name) => !(name in GATEWAY_DROPS));
const ZONE = ['kind', 'zone'] as const;
const PORT_LABELS = ['bridge', 'port'] as const;

const one = (value: number): Sample[] => [{ labels: [], value }];

function define(type: Family['type'], name: string, labels: readonly string[], help: string, read: Metric['read']): Metric {
  return { name, type, labels, help, read };
}

/** A sample for each bridge. */
function ofBridges(value: (bridge: Telemetry['bridges'][number]) => number | null) {
  return ({ bridges }: Telemetry): Sample[] =>
    bridges.flatMap((bridge) => {
      const found = value(bridge);
      return found === null ? [] : [{ labels: [bridge.info.name], value: found }];
    });
}

/** Samples for each port of each bridge; `more` are values of further labels. */
function ofPorts(
  samples: (port: Telemetry['bridges'][number]['ports'][number]) => readonly (readonly [readonly string[], number])[],
) {
  return ({ bridges }: Telemetry): Sample[] =>
    bridges.flatMap(({ info, ports }) =>
      ports.flatMap((port) => samples(port).map(([more, value]) => ({ labels: [info.name, port.info.name, ...more], value }))),
    );
}

/** Both directions of a total. */
function ofDirections(unit: 'frames' | 'bytes' | 'packets') {
  return ofPorts(({ counters }) => [
    [['rx'], counters[`rx_${unit}`]],
    [['tx'], counters[`tx_${unit}`]],
  ]);
}

/** Samples for each zone of the gateway: bridges, then uplinks. */
function ofZones(names: readonly GatewayCounter[]) {
  return ({ bridges, uplinks }: Telemetry): Sample[] => {
    const zones = [
      ...bridges.map(({ info, gateway }) => ({ labels: ['bridge', info.name], counters: gateway })),
      ...uplinks.map(({ interface: name, counters }) => ({ labels: ['uplink', name], counters })),
    ];
    return zones.flatMap(({ labels, counters }) => names.map((name) => ({ labels: [...labels, name], value: counters[name] })));
  };
}

/** A sample for each engine thread. */
function ofThreads(value: (loop: Telemetry['loops'][number], now: number) => number) {
  return ({ loops, now }: Telemetry): Sample[] =>
    loops.map((loop, thread) => ({ labels: [String(thread)], value: value(loop, now) }));
}

const seconds = (micros: number) => micros / 1e6;

export const METRICS: readonly Metric[] = [
  define('gauge', 'tapbridge_info', ['version', 'node'], 'Version of the daemon, always 1.', () => [
    { labels: [packageVersion(), process.version], value: 1 },
  ]),
  define('gauge', 'tapbridge_bridges', [], 'Bridges.', ({ bridges }) => one(bridges.length)),
  define(
    'gauge',
    'tapbridge_bridge_ports',
    ['bridge'],
    'Ports attached to the bridge, its host port not counted.',
    ofBridges(({ info }) => info.ports),
  ),
  define(
    'gauge',
    'tapbridge_fdb_entries',
    ['bridge'],
    'Entries of the FDB, static and local ones included.',
    ofBridges(({ use }) => use?.fdb ?? null),
  ),
  define(
    'gauge',
    'tapbridge_fdb_limit',
    ['bridge'],
    'Learned entries the FDB takes.',
    ofBridges(({ info }) => info.fdbLimit),
  ),
  define(
    'gauge',
    'tapbridge_neighbor_entries',
    ['bridge'],
    'Entries of the neighbor table.',
    ofBridges(({ use }) => use?.neighbors ?? null),
  ),
  define(
    'gauge',
    'tapbridge_publishes',
    ['bridge'],
    'Published ports and ranges of ports.',
    ofBridges(({ publishes }) => publishes),
  ),
  define(
    'gauge',
    'tapbridge_publishes_listening',
    ['bridge'],
    'Of these, those the host itself reaches; the others are taken by another program.',
    ofBridges(({ listening }) => listening),
  ),
  define(
    'counter',
    'tapbridge_bridge_events_total',
    ['bridge', 'event'],
    'What the bridge counts beside its ports: learning, ageing, ARP.',
    ({ bridges }) =>
      bridges.flatMap(({ info, counters }) =>
        BRIDGE_COUNTERS.map((event: BridgeCounter) => ({ labels: [info.name, event], value: counters[event] })),
      ),
  ),
  define(
    'gauge',
    'tapbridge_port_up',
    PORT_LABELS,
    '1 when the port forwards.',
    ofPorts(({ info }) => [[[], info.state === 'up' ? 1 : 0]]),
  ),
  define(
    'gauge',
    'tapbridge_port_info',
    [...PORT_LABELS, 'kind', 'interface', 'engine', 'container'],
    'Who is behind the port, always 1.',
    ofPorts(({ info }) => [[[info.kind, info.interface ?? '', info.container?.engine ?? '', info.container?.name ?? ''], 1]]),
  ),
  define(
    'counter',
    'tapbridge_port_frames_total',
    [...PORT_LABELS, 'direction'],
    'Frames received from the port and sent to it; a super-frame is one.',
    ofDirections('frames'),
  ),
  define('counter', 'tapbridge_port_bytes_total', [...PORT_LABELS, 'direction'], 'Bytes of these frames.', ofDirections('bytes')),
  define(
    'counter',
    'tapbridge_port_packets_total',
    [...PORT_LABELS, 'direction'],
    'Packets a wire would have carried.',
    ofDirections('packets'),
  ),
  define(
    'counter',
    'tapbridge_port_drops_total',
    [...PORT_LABELS, 'reason'],
    'Frames that ended at the port, by reason.',
    ofPorts(({ counters }) => PORT_DROPS.map((reason) => [[reason], counters[reason]] as const)),
  ),
  define(
    'counter',
    'tapbridge_port_events_total',
    [...PORT_LABELS, 'event'],
    'What became of the frames received, and copies and frames made.',
    ofPorts(({ counters }) => PORT_EVENTS.map((event) => [[event], counters[event]] as const)),
  ),
  define(
    'counter',
    'tapbridge_gateway_drops_total',
    [...ZONE, 'reason'],
    'Frames that ended at the gateway, by the bridge or uplink they came from and reason.',
    ofZones(Object.keys(GATEWAY_DROPS) as GatewayCounter[]),
  ),
  define(
    'counter',
    'tapbridge_gateway_events_total',
    [...ZONE, 'event'],
    'What else the gateway counts.',
    ofZones(GATEWAY_EVENTS),
  ),
  define('gauge', 'tapbridge_flows', [], 'Tracked flows.', ({ gateway }) => (gateway === null ? [] : one(gateway.flows))),
  define('gauge', 'tapbridge_flows_limit', [], 'Flows there may be.', ({ gateway }) =>
    gateway === null ? [] : one(gateway.flowLimit),
  ),
  define('gauge', 'tapbridge_nat_mappings', [], 'NAT mappings.', ({ gateway }) =>
    gateway === null ? [] : one(gateway.mappings),
  ),
  define('gauge', 'tapbridge_nat_mappings_limit', [], 'NAT mappings there may be.', ({ gateway }) =>
    gateway === null ? [] : one(gateway.mappingLimit),
  ),
  define('gauge', 'tapbridge_nat_pool_ports_used', ['address', 'protocol'], 'Outer ports in use.', ({ gateway }) =>
    (gateway?.pools ?? []).map(({ address, protocol, used }) => ({ labels: [address, protocol], value: used })),
  ),
  define('gauge', 'tapbridge_nat_pool_ports', ['address', 'protocol'], 'Outer ports there are.', ({ gateway }) =>
    (gateway?.pools ?? []).map(({ address, protocol, size }) => ({ labels: [address, protocol], value: size })),
  ),
  define('gauge', 'tapbridge_uplink_up', ['uplink', 'guard'], '1 when the uplink is up.', ({ uplinks }) =>
    uplinks.map(({ interface: name, guard, state }) => ({ labels: [name, guard], value: state === 'up' ? 1 : 0 })),
  ),
  define('gauge', 'tapbridge_engine_answers', [], '1 when the engine answered the daemon within 2 s.', ({ gateway }) =>
    one(gateway === null ? 0 : 1),
  ),
  define(
    'counter',
    'tapbridge_engine_passes_total',
    ['thread'],
    'Passes of the loop.',
    ofThreads(({ passes }) => passes),
  ),
  define(
    'counter',
    'tapbridge_engine_full_passes_total',
    ['thread'],
    'Passes that left frames unread because the batch was full.',
    ofThreads(({ full_passes: full }) => full),
  ),
  define(
    'counter',
    'tapbridge_engine_frames_total',
    ['thread'],
    'Frames the passes handled.',
    ofThreads(({ frames }) => frames),
  ),
  define(
    'counter',
    'tapbridge_engine_busy_seconds_total',
    ['thread'],
    'Time spent on frames and commands, and at first on the rehearsal.',
    ofThreads(({ busy_micros: micros }) => seconds(micros)),
  ),
  define(
    'counter',
    'tapbridge_engine_poll_seconds_total',
    ['thread'],
    'Time spent looking for frames without sleeping.',
    ofThreads(({ poll_micros: micros }) => seconds(micros)),
  ),
  define(
    'counter',
    'tapbridge_engine_sleep_seconds_total',
    ['thread'],
    'Time asleep in the kernel.',
    ofThreads(({ sleep_micros: micros }) => seconds(micros)),
  ),
  define(
    'counter',
    'tapbridge_engine_awake_seconds_total',
    ['thread'],
    'Time in which idle cores were kept from sleeping because there was traffic. Each thread asks for itself: not to be added up.',
    ofThreads(({ awake_micros: micros }) => seconds(micros)),
  ),
  define(
    'gauge',
    'tapbridge_engine_longest_pass_seconds',
    ['thread'],
    'Longest pass of the last second.',
    ofThreads(({ longest_micros: micros }) => seconds(micros)),
  ),
  define(
    'gauge',
    'tapbridge_engine_last_pass_age_seconds',
    ['thread'],
    'Time since the last pass began; above 2 the thread hangs.',
    ofThreads(({ turned_micros: turned }, now) => seconds(Math.max(0, now - turned))),
  ),
  define('counter', 'process_cpu_seconds_total', [], 'Processor time of all threads, user and system.', () => {
    const { user, system } = process.cpuUsage();
    return one(seconds(user + system));
  }),
  define('gauge', 'process_resident_memory_bytes', [], 'Memory in use.', () => one(process.memoryUsage.rss())),
  define('gauge', 'process_start_time_seconds', [], 'When the process began, in Unix time.', () =>
    one(Math.round(performance.timeOrigin) / 1000),
  ),
  define('gauge', 'process_open_fds', [], 'Open file descriptors.', () => one(readdirSync('/proc/self/fd').length - 1)),
  define('gauge', 'process_max_fds', [], 'File descriptors there may be.', () => one(mostDescriptors())),
];

export function metricsText(telemetry: Telemetry): string {
  return exposition(METRICS.map((metric) => [metric, metric.read(telemetry)] as const));
}

function mostDescriptors(): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return soft === undefined || soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}
