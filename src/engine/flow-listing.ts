/** Flows for listings and flushes: which ones, and what is told of them. Commands only; objects are made for each flow. */
import type { Conntrack } from '../conntrack/conntrack.js';
import { COLD, COLD_WORDS, FLOW, FLOW_SHIFT, NO_OWNER, Status, TUPLE_WORDS } from '../conntrack/flow-layout.js';
import { protocolOf } from '../conntrack/kind.js';
import { TCP_STATES } from '../conntrack/tcp-states.js';
import { isUplink } from '../gateway/zones.js';
import type { PublishTable } from '../nat/publish-table.js';
import { Protocol } from '../wire/ipv4.js';
import type { FlowFilter, FlowRow, FlowTuple } from './protocol.js';

const { oSource, oDestination, oPorts, rSource, rDestination, rPorts, kind, status, zones, owner } = FLOW;

/** Whether a live flow matches all fields of a filter. */
export function flowMatcher(
  conntrack: Conntrack,
  publishes: PublishTable,
  filter: FlowFilter,
  seconds: number,
): (flow: number) => boolean {
  const { words } = conntrack.flows;
  const { address, prefix = 32, port, protocol, state, bridge, owner: container, publish } = filter;
  const mask = prefix === 0 ? 0 : -1 << (32 - prefix);
  const published = publish === undefined ? -1 : publishes.numberOf(publish);
  return (flow) => {
    const row = flow << FLOW_SHIFT;
    if (conntrack.expired(flow, seconds)) return false;
    if (address !== undefined) {
      const ends = [words[row + oSource], words[row + oDestination], words[row + rSource], words[row + rDestination]];
      if (!ends.some((end) => ((end ^ address) & mask) === 0)) return false;
    }
    if (port !== undefined) {
      const pairs = [words[row + oPorts], words[row + rPorts]];
      if (!pairs.some((pair) => pair >>> 16 === port || (pair & 0xffff) === port)) return false;
    }
    if (protocol !== undefined && protocolOf(words[row + kind]) !== protocol) return false;
    if (state !== undefined && stateOf(conntrack, flow) !== state) return false;
    if (bridge !== undefined && !hasZone(words[row + zones], bridge)) return false;
    if (container !== undefined && (words[row + owner] & NO_OWNER) !== container) return false;
    if (publish === undefined) return true;
    const word = words[row + oPorts] & 0xffff;
    return published >= 0 && publishes.covers(published, protocolOf(words[row + kind]), words[row + oDestination], word);
  };
}

export function flowRow(conntrack: Conntrack, flow: number, seconds: number): FlowRow {
  const { flows } = conntrack;
  const { words } = flows;
  const row = flow << FLOW_SHIFT;
  const account = words[row + owner] & NO_OWNER;
  const back = words[row + zones] >>> 16;
  return {
    protocol: protocolOf(words[row + kind]),
    state: stateOf(conntrack, flow),
    assured: (words[row + status] & Status.assured) !== 0,
    original: tupleAt(words, row + oSource),
    reply: tupleAt(words, row + oSource + TUPLE_WORDS),
    bridge: isUplink(back) ? words[row + zones] & 0xffff : back,
    owner: account === NO_OWNER ? -1 : account,
    timeout: conntrack.timeLeft(flow, seconds),
    age: (seconds - flows.cold[flow * COLD_WORDS + COLD.created]) | 0,
    packets: [flows.packetsOf(flow, 0), flows.packetsOf(flow, 1)],
    bytes: [flows.bytesOf(flow, 0), flows.bytesOf(flow, 1)],
  };
}

function stateOf(conntrack: Conntrack, flow: number): string {
  const { words } = conntrack.flows;
  const row = flow << FLOW_SHIFT;
  const word = words[row + status];
  if (protocolOf(words[row + kind]) === Protocol.tcp) return TCP_STATES[word & Status.stateMask];
  return (word & Status.seenReply) !== 0 ? 'replied' : 'unreplied';
}

function tupleAt(words: Int32Array, at: number): FlowTuple {
  const ports = words[at + oPorts - oSource];
  return {
    source: words[at],
    destination: words[at + oDestination - oSource],
    sourcePort: ports >>> 16,
    destinationPort: ports & 0xffff,
  };
}

function hasZone(word: number, zone: number): boolean {
  return (word & 0xffff) === zone || word >>> 16 === zone;
}
