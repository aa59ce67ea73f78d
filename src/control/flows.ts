/** Flows of the gateway with names instead of numbers: listed and ended in pages, watched by a ring of events. */
import { type FlowEventRecord, FlowEvents } from '../conntrack/flow-events.js';
import { NO_OWNER, removalName, Status, UPLINK_ZONE } from '../conntrack/flow-layout.js';
import { protocolOf } from '../conntrack/kind.js';
import { TCP_STATES } from '../conntrack/tcp-states.js';
import { TIMEOUT_CLASSES } from '../conntrack/timeouts.js';
import type { FlowFilter, FlowRow, FlowTuple } from '../engine/protocol.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import { type ControlContext, portOf } from './context.js';
import { ControlError } from './control-error.js';
import { checkRange } from './limits.js';
import { reasonOf } from './log.js';
import type { FlowEnds, FlowEvent, FlowInfo, FlowQuery } from './model.js';
import { networkOf, protocolNumber, protocolText } from './policy.js';
import type { BridgeRecord } from './records.js';

/** Rows the engine looks at between two passes: well under a millisecond. */
const PAGE_ROWS = 4096;
/** Events that wait for a watcher; 96 bytes each. */
const RING_RECORDS = 16_384;
const LOOK_MILLIS = 50;
/** Events handed on in one turn of the loop. */
const MAX_EVENTS = 4096;
const PORT = { min: 0, max: 65_535 } as const;
const TCP = 6;
const ICMP = 1;

/** @throws ControlError for a query that makes no sense, not-found for a port there is not */
export function flowFilter(bridge: BridgeRecord, query: FlowQuery): FlowFilter {
  if (query.port !== undefined) checkRange('the port', query.port, PORT);
  const { network: address, prefix } = query.address === undefined ? {} : networkOf(query.address);
  return {
    bridge: bridge.number,
    ...(address !== undefined && prefix !== undefined && { address, prefix }),
    ...(query.port !== undefined && { port: query.port }),
    ...(query.protocol !== undefined && { protocol: protocolNumber(query.protocol) }),
    ...(query.state !== undefined && { state: query.state }),
    ...(query.portName !== undefined && { owner: portOf(bridge, query.portName).number }),
  };
}

/** Pages of flows, of any length. Flows that begin or end meanwhile may be among them or not. */
export async function* listFlows(context: ControlContext, filter: FlowFilter): AsyncGenerator<FlowInfo[]> {
  if (!context.gateway.isOpen) return;
  for (let from = 0; from >= 0; ) {
    const { flows, next } = await context.engine.call('list-flows', { filter, from, limit: PAGE_ROWS });
    if (flows.length > 0) yield flows.map((row) => flowInfo(context, row));
    from = next;
  }
}

/** Ends flows. @returns how many */
export async function flushFlows(context: ControlContext, filter: FlowFilter): Promise<number> {
  let ended = 0;
  for (let from = 0; from >= 0 && context.gateway.isOpen; ) {
    const page = await context.engine.call('flush-flows', { filter, from, limit: PAGE_ROWS });
    ended += page.ended;
    from = page.next;
  }
  return ended;
}

interface Watcher {
  filter: FlowFilter;
  onEvents: (events: FlowEvent[]) => void;
}

/**
 * All watchers share the one ring the engine writes; each gets what its filter lets through. The ring is looked at every 50 ms while somebody
 * watches. A watcher that is slow is not waited for: what it does with the events is its business.
 */
export class FlowWatch {
  private readonly context: ControlContext;
  private readonly timeouts: () => Record<string, number>;
  private readonly watchers = new Set<Watcher>();
  private ring: FlowEvents | null = null;
  private lost = 0;
  private timer: NodeJS.Timeout | undefined;

  /** @param timeouts in force, seconds by class */
  constructor(context: ControlContext, timeouts: () => Record<string, number>) {
    this.context = context;
    this.timeouts = timeouts;
  }

  add(filter: FlowFilter, onEvents: (events: FlowEvent[]) => void): { close(): void } {
    const watcher = { filter, onEvents };
    this.watchers.add(watcher);
    this.start();
    return {
      close: () => {
        this.watchers.delete(watcher);
        if (this.watchers.size === 0) this.stop();
      },
    };
  }

  /** Also when the gateway is opened while somebody watches already. */
  start(): void {
    if (this.ring !== null || this.watchers.size === 0 || !this.context.gateway.isOpen) return;
    this.ring = new FlowEvents(FlowEvents.allocate(RING_RECORDS));
    this.ring.watch(true);
    this.lost = 0;
    this.tell(this.ring.memory);
    this.timer = setInterval(() => this.look(), LOOK_MILLIS).unref();
  }

  stop(): void {
    if (this.ring === null) return;
    clearInterval(this.timer);
    this.ring.watch(false);
    this.ring = null;
    this.tell(null);
  }

  private tell(ring: SharedArrayBuffer | null): void {
    this.context.engine.call('watch-flows', { ring }).catch((error) => {
      this.context.log.warn({ reason: reasonOf(error) }, 'cannot watch the flows');
    });
  }

  private look(): void {
    const { ring } = this;
    if (ring === null) return;
    const records: FlowEventRecord[] = [];
    for (let record = ring.take(); record !== null; record = ring.take()) {
      records.push(record);
      if (records.length === MAX_EVENTS) break;
    }
    const lost = (ring.lost - this.lost) >>> 0;
    this.lost = ring.lost;
    const timeouts = this.timeouts();
    const seen = records.map((record) => ({ record, row: flowRow(record, timeouts) }));
    for (const { filter, onEvents } of [...this.watchers]) {
      const events: FlowEvent[] = seen
        .filter(({ row }) => matches(filter, row))
        .map(({ record, row }) => this.event(record, row));
      if (lost > 0) events.push({ event: 'lost', lost });
      if (events.length > 0) onEvents(events);
    }
  }

  private event(record: FlowEventRecord, row: FlowRow): FlowEvent {
    const reason = record.event === 'destroy' ? { reason: removalName(record.reason).replaceAll('_', '-') } : {};
    return { event: record.event, ...reason, flow: flowInfo(this.context, row) };
  }
}

export function flowInfo(context: ControlContext, row: FlowRow): FlowInfo {
  const { protocol, original, reply } = row;
  const bridge = [...context.bridges.values()].find(({ number }) => number === row.bridge);
  return {
    protocol: protocolText(protocol),
    state: row.state,
    assured: row.assured,
    original: ends(protocol, original),
    reply: ends(protocol, reply),
    bridge: bridge?.name ?? '',
    port: context.ports.get(row.owner)?.port.name ?? null,
    timeout: row.timeout,
    age: row.age,
    packets: { original: row.packets[0], reply: row.packets[1] },
    bytes: { original: row.bytes[0], reply: row.bytes[1] },
  };
}

/** As the engine lists it. */
export function flowRow(record: FlowEventRecord, timeouts: Record<string, number>): FlowRow {
  const { status, kind, zones } = record;
  const protocol = protocolOf(kind);
  const owner = record.owner & NO_OWNER;
  const [forward, backward] = [zones & 0xffff, zones >>> 16];
  const name = TIMEOUT_CLASSES[(status & Status.classMask) >> Status.classShift];
  const left = record.event === 'destroy' ? 0 : (timeouts[name] ?? 0) - (record.seconds - record.seen);
  return {
    protocol,
    state: protocol === TCP ? TCP_STATES[status & Status.stateMask] : (status & Status.seenReply) === 0 ? 'unreplied' : 'replied',
    assured: (status & Status.assured) !== 0,
    original: tuple(record.original),
    reply: tuple(record.reply),
    // What goes out has its answers sent to the bridge; what comes in is sent there itself.
    bridge: backward < UPLINK_ZONE ? backward : forward,
    owner: owner === NO_OWNER ? -1 : owner,
    timeout: Math.max(0, left),
    age: record.age,
    packets: record.packets,
    bytes: record.bytes,
  };
}

/** As the engine compares them. */
export function matches(filter: FlowFilter, row: FlowRow): boolean {
  const { original, reply } = row;
  const { address, prefix = 32, port } = filter;
  const mask = prefix === 0 ? 0 : -1 << (32 - prefix);
  const addresses = [original.source, original.destination, reply.source, reply.destination];
  const ports = [original.sourcePort, original.destinationPort, reply.sourcePort, reply.destinationPort];
  return (
    (filter.bridge === undefined || filter.bridge === row.bridge) &&
    (filter.owner === undefined || filter.owner === row.owner) &&
    (filter.protocol === undefined || filter.protocol === row.protocol) &&
    (filter.state === undefined || filter.state === row.state) &&
    (port === undefined || ports.includes(port)) &&
    (address === undefined || addresses.some((each) => ((each ^ address) & mask) === 0))
  );
}

/** @throws ControlError for a state no flow has */
export function checkState(state: string | undefined): void {
  const states: string[] = [...TCP_STATES, 'unreplied', 'replied'];
  if (state === undefined || states.includes(state)) return;
  throw new ControlError('invalid', `no flow is ${JSON.stringify(state)}`, `the states are: ${states.join(', ')}`);
}

function tuple([source, destination, ports]: [number, number, number]): FlowTuple {
  return { source, destination, sourcePort: ports >>> 16, destinationPort: ports & 0xffff };
}

function ends(protocol: number, { source, destination, sourcePort, destinationPort }: FlowTuple): FlowEnds {
  const hasPorts = [TCP, 17, 33, 132, 136, ICMP].includes(protocol);
  return {
    source: formatIpv4(source),
    destination: formatIpv4(destination),
    sourcePort: hasPorts ? sourcePort : null,
    destinationPort: hasPorts ? destinationPort : null,
  };
}
