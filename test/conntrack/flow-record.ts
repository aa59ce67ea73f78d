/** A flow as tests look at it: objects and texts. */

import type { Conntrack } from '../../src/conntrack/conntrack.js';
import { COLD, COLD_WORDS, FLOW, FLOW_SHIFT, NO_OWNER, Status, TUPLE_WORDS } from '../../src/conntrack/flow-layout.js';
import { protocolOf } from '../../src/conntrack/kind.js';
import { TCP_STATES, type TcpStateName } from '../../src/conntrack/tcp-states.js';
import { TIMEOUT_CLASSES, type TimeoutName } from '../../src/conntrack/timeouts.js';
import { formatIpv4 } from '../../src/wire/ipv4-address.js';

const TCP = 6;
const ICMP = 1;

export interface TupleRecord {
  source: string;
  destination: string;
  /** 0 for protocols without ports; both are the id of an ICMP query. */
  sourcePort: number;
  destinationPort: number;
  packets: number;
  bytes: number;
}

export interface FlowRecord {
  flow: number;
  /** IP protocol number. */
  protocol: number;
  /** Type of an ICMP query; -1 for other protocols. */
  icmpType: number;
  original: TupleRecord;
  reply: TupleRecord;
  /** Of TCP; null for other protocols. */
  state: TcpStateName | null;
  /** Null for a flow that ended and is about to go. */
  timeoutClass: TimeoutName | null;
  /** Seconds. */
  timeLeft: number;
  /** Seconds since its first frame. */
  age: number;
  seenReply: boolean;
  assured: boolean;
  pickedUp: boolean;
  /** Zone the original direction is sent to, and zone the reply direction is sent to. */
  zones: { original: number; reply: number };
  /** Number of its NAT mapping, or -1. */
  mapping: number;
  /** Port whose share it takes, or -1. */
  owner: number;
}

/** A live flow. `used(flow)` and `expired` are the caller's to ask. */
export function flowRecord(conntrack: Conntrack, flow: number, seconds: number): FlowRecord {
  const { flows } = conntrack;
  const row = flow << FLOW_SHIFT;
  const words = flows.words.subarray(row, row + (1 << FLOW_SHIFT));
  const status = words[FLOW.status];
  const protocol = protocolOf(words[FLOW.kind]);
  const owner = words[FLOW.owner] & NO_OWNER;
  const tuple = (direction: 0 | 1): TupleRecord => ({
    source: formatIpv4(words[direction * TUPLE_WORDS + FLOW.oSource]),
    destination: formatIpv4(words[direction * TUPLE_WORDS + FLOW.oDestination]),
    sourcePort: words[direction * TUPLE_WORDS + FLOW.oPorts] >>> 16,
    destinationPort: words[direction * TUPLE_WORDS + FLOW.oPorts] & 0xffff,
    packets: flows.packetsOf(flow, direction),
    bytes: flows.bytesOf(flow, direction),
  });
  return {
    flow,
    protocol,
    icmpType: protocol === ICMP ? words[FLOW.kind] >>> 24 : -1,
    original: tuple(0),
    reply: tuple(1),
    state: protocol === TCP ? TCP_STATES[status & Status.stateMask] : null,
    timeoutClass: TIMEOUT_CLASSES[flows.classOf(flow)] ?? null,
    timeLeft: conntrack.timeLeft(flow, seconds),
    age: (seconds - flows.cold[flow * COLD_WORDS + COLD.created]) | 0,
    seenReply: (status & Status.seenReply) !== 0,
    assured: (status & Status.assured) !== 0,
    pickedUp: (status & Status.pickedUp) !== 0,
    zones: { original: words[FLOW.zones] & 0xffff, reply: words[FLOW.zones] >>> 16 },
    mapping: words[FLOW.mapping],
    owner: owner === NO_OWNER ? -1 : owner,
  };
}
