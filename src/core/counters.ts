/**
 * Counters: float64 columns in memory every thread can read. Each engine thread has a block it alone writes, so plain adds suffice; who
 * reads adds the blocks up. A 64-bit aligned float64 is read whole on the machines Node runs on, and counts whole frames exactly up to 2^53.
 *
 * Conservation (rule L5): for each bridge, over its ports,
 *   rx_frames            = rx_* drops + arp_answered + unicast + flooded + routed
 *   unicast + flood copies + made = tx_frames + tx_* drops, but for frames a fault duplicates or holds
 *
 * Conservation of the gateway, over all its zones:
 *   routed = to_host + arp_seen + forwarded_out + forwarded_in + hairpinned + drops + fragments that wait for their first one
 * where drops are all of GATEWAY_DROPS but three, which end what was forwarded (or made) already: unreachable, parking_full, made_full.
 */

/**
 * What a port counts: totals, outcomes, and drops with their reason (`DROP_REASONS`). `tx_partial` is none of them: segments the kernel refused
 * behind the first of their super-frame, which counts as sent. `tx_bytes` counts what a port was offered, taken or not: what the kernel refuses
 * may be several frames in one piece.
 */
export const PORT_COUNTERS = [
  'rx_frames',
  'rx_bytes',
  'rx_packets',
  'tx_frames',
  'tx_bytes',
  'tx_packets',
  'unicast',
  'flooded',
  'routed',
  'arp_answered',
  'flood_copies',
  'made',
  'rx_malformed',
  'rx_bad_vnet',
  'rx_port_down',
  'rx_src_invalid',
  'rx_reserved',
  'rx_guard',
  'rx_spoofed',
  'rx_fault',
  'rx_rate_limited',
  'tx_filtered',
  'tx_too_big',
  'tx_full',
  'tx_port_down',
  'tx_refused',
  'tx_unsegmentable',
  'tx_fault',
  'tx_rate_limited',
  'tx_partial',
] as const;
export type PortCounter = (typeof PORT_COUNTERS)[number];

/** What a bridge counts beside its ports. */
export const BRIDGE_COUNTERS = [
  'fdb_learned',
  'fdb_moved',
  'fdb_aged',
  'fdb_full',
  'arp_requests',
  'arp_answered',
  'arp_flooded',
  'arp_probes',
  'arp_conflicts',
  'arp_rate_limited',
  'neighbors_full',
] as const;
export type BridgeCounter = (typeof BRIDGE_COUNTERS)[number];

/** Position of each counter in its block, known to the compiler by name. */
function positions<Name extends string>(names: readonly Name[]): Readonly<Record<Name, number>> {
  return Object.freeze(Object.fromEntries(names.map((name, index) => [name, index]))) as Record<Name, number>;
}

export const PORT = positions(PORT_COUNTERS);
export const BRIDGE = positions(BRIDGE_COUNTERS);

/** Reasons, in words, of every counter that is a drop. */
export const DROP_REASONS = {
  rx_malformed: 'shorter than its headers, or longer than any frame',
  rx_bad_vnet: 'virtio-net header contradicts the frame',
  rx_port_down: 'the port is disabled',
  rx_src_invalid: 'source address is a group or zero',
  rx_reserved: 'reserved group address, never relayed',
  rx_guard: 'source address belongs to the gateway, or is not allowed on a locked port',
  rx_spoofed: "source address is not the one the port was attached with, or at the host port none of the host's",
  rx_fault: 'lost by the fault injector on the way in',
  rx_rate_limited: 'faster than the rate set for what the port sends, and the queue of those that wait is full',
  tx_filtered: 'its destination is behind the port it came from, isolated, or does not take this class of flood',
  tx_too_big: 'longer than the MTU of the egress port',
  tx_full: 'the egress queue is full',
  tx_port_down: 'the egress interface is down or gone',
  tx_refused: 'the kernel refused the frame',
  tx_unsegmentable: 'a super-frame whose headers cannot be segmented for a port without offloads',
  tx_fault: 'lost by the fault injector on the way out',
  tx_rate_limited: 'faster than the rate set for what the port gets, and the queue of those that wait is full',
} as const satisfies Partial<Record<PortCounter, string>>;

export type DropReason = keyof typeof DROP_REASONS;

/** Frames that end at the gateway, with their reasons. */
export const GATEWAY_DROPS = {
  ip_malformed: 'an IP header that is short, wrong or longer than its frame',
  ip_martian: 'a source or destination no packet on a link may have',
  ip_option: 'a source route, which would show inner addresses',
  ip_spoofed: 'a source outside of the network it came from',
  ip_broadcast: 'broadcast or multicast, which is not routed',
  ttl_exceeded: 'its time to live ran out',
  no_route: 'no route to its destination',
  unreachable: 'the next hop does not answer ARP',
  too_big: 'longer than the MTU of the way out, and not to be fragmented',
  no_address: 'the uplink has no address to translate to',
  nat_exhausted: 'no port is left to translate to',
  flow_table_full: 'the flow table is full',
  flow_quota: 'the port has its share of the flow table',
  not_published: 'from outside, and neither published nor part of a flow',
  policy_denied: 'a rule denies it',
  bridge_isolated: 'between two bridges, or two isolated ports',
  internal: 'an internal bridge has no way out',
  l4_malformed: 'a TCP, UDP or ICMP header that is short or wrong',
  l4_checksum: 'the checksum of its transport header is wrong',
  tcp_invalid: 'no segment its connection allows',
  icmp_unrelated: 'an ICMP error about no flow, or an answer nobody asked for',
  icmp_ignored: 'an ICMP type that is not translated',
  fragment_invalid: 'overlapping, misaligned or too short fragments',
  fragment_limit: 'more fragments than may wait',
  fragment_timeout: 'the rest of its datagram never came',
  parking_full: 'too many frames wait for the same next hop',
  made_full: 'no room in the batch for a frame the gateway makes',
  restoring: 'the daemon has just started again, and the bridges and routes it had are not all there yet',
  handover_lost: 'the engine thread that routes had no room for it, or no gateway for its bridge any more',
} as const;
export type GatewayDrop = keyof typeof GATEWAY_DROPS;

/** What the gateway counts, for each zone: bridges by number, behind them the uplinks. */
export const GATEWAY_COUNTERS = [
  'routed',
  'handed_over',
  'forwarded_out',
  'forwarded_in',
  'to_host',
  'hairpinned',
  'arp_seen',
  'arp_sent',
  'flows_opened',
  'flows_ended',
  'early_dropped',
  'picked_up',
  'icmp_errors_sent',
  'icmp_errors_translated',
  'icmp_rate_limited',
  'fragments_parked',
  'fragmented',
  'parked',
  ...(Object.keys(GATEWAY_DROPS) as GatewayDrop[]),
] as const;
export type GatewayCounter = (typeof GATEWAY_COUNTERS)[number];
export const GATEWAY = positions(GATEWAY_COUNTERS);

/**
 * What an engine thread counts of its own loop, published once a second. Times are microseconds of the monotonic clock. All grow but two, which say what
 * is now: `longest_micros`, the longest pass of the second before, and `turned_micros`, when this was published: a loop that turns does it, idle or not.
 */
export const LOOP_COUNTERS = [
  'passes',
  /** Frames of all passes. */
  'frames',
  /** Passes that left frames unread: the batch was full. */
  'full_passes',
  /** From finding work until looking for more: reading, forwarding, sending, commands. */
  'busy_micros',
  /** Looking for work and finding none, without sleeping; others may have had the core meanwhile. */
  'poll_micros',
  'sleep_micros',
  /** For so long idle cores were kept from sleeping, because there was traffic. */
  'awake_micros',
  'longest_micros',
  'turned_micros',
] as const;
export type LoopCounter = (typeof LOOP_COUNTERS)[number];
export const LOOP = positions(LOOP_COUNTERS);

/** Drops the kernel counts at a port's interface: frames no engine ever saw, so they are no part of the conservation above. */
export const INTERFACE_DROP_REASONS = {
  queue_drops: "dropped by the interface's own queue before the bridge saw them",
} as const;
export type InterfaceDrop = keyof typeof INTERFACE_DROP_REASONS;

/** Counters as who looks at them sees them. */
export interface CounterView<Name extends string> {
  get(owner: number, counter: number): number;
  snapshot(owner: number): Record<Name, number>;
}

/** A block of counters per owner (port or bridge) in one shared buffer. */
export class Counters<Name extends string> implements CounterView<Name> {
  readonly values: Float64Array;
  readonly stride: number;
  private readonly names: readonly Name[];

  constructor(names: readonly Name[], owners: number, memory?: SharedArrayBuffer) {
    this.names = names;
    this.stride = names.length;
    this.values = new Float64Array(memory ?? new SharedArrayBuffer(owners * names.length * 8));
  }

  get memory(): SharedArrayBuffer {
    return this.values.buffer as SharedArrayBuffer;
  }

  add(owner: number, counter: number, amount: number): void {
    this.values[owner * this.stride + counter] += amount;
  }

  get(owner: number, counter: number): number {
    return this.values[owner * this.stride + counter];
  }

  clear(owner: number): void {
    this.values.fill(0, owner * this.stride, (owner + 1) * this.stride);
  }

  /** All counters of an owner by name: for the API and tests, not for the loop. */
  snapshot(owner: number): Record<Name, number> {
    const result = {} as Record<Name, number>;
    for (let index = 0; index < this.stride; index++) {
      result[this.names[index]] = this.values[owner * this.stride + index];
    }
    return result;
  }
}

/** The sums over the blocks of several threads. */
export class CounterSum<Name extends string> implements CounterView<Name> {
  private readonly names: readonly Name[];
  private readonly blocks: readonly CounterView<Name>[];

  constructor(names: readonly Name[], blocks: readonly CounterView<Name>[]) {
    this.names = names;
    this.blocks = blocks;
  }

  get(owner: number, counter: number): number {
    return this.blocks.reduce((sum, block) => sum + block.get(owner, counter), 0);
  }

  snapshot(owner: number): Record<Name, number> {
    const values = this.names.map((name, counter) => [name, this.get(owner, counter)]);
    return Object.fromEntries(values) as Record<Name, number>;
  }
}

export type PortCounters = Counters<PortCounter>;
export type BridgeCounters = Counters<BridgeCounter>;
export type GatewayCounters = Counters<GatewayCounter>;
/** An owner is an engine thread. */
export type LoopCounters = Counters<LoopCounter>;
