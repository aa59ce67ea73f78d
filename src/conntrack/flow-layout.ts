/**
 * Where everything about a flow stands.
 *
 *     hot row, 16 words, one cache line
 *      0        1             2       3        4             5       6      7       8      9          10     11     12         13         14        15
 *     +--------+-------------+-------+--------+-------------+-------+------+-------+------+----------+------+------+----------+----------+---------+-------+
 *     |o source|o destination|o ports|r source|r destination|r ports| kind |status | seen | previous | next |zones |o next hop|r next hop| mapping | owner |
 *     +--------+-------------+-------+--------+-------------+-------+------+-------+------+----------+------+------+----------+----------+---------+-------+
 *
 *     cold row, 18 words (9 float64)
 *      0       2       4         5         6       7         8 … 11                             12 … 15      16         17
 *     +-------+-------+---------+---------+-------+---------+----------------------------------+-----------+----------+------+
 *     |o bytes|r bytes|o packets|r packets|carries| created |o end, max end, max window, max ack| the same |last end  | last |
 *     +-------+-------+---------+---------+-------+---------+----------------------------------+-----------+----------+------+
 *      float64         lower 32 bits       o | r<<16         what that side sent, TCP only                   of a segment let pass
 *
 * The halves of a packet counter are a word and 16 bits of `carries`: 48 bits, exact, and 4 bytes less than two float64.
 */

/**
 * Rises when rows come to mean something else although the names here stay: flows that outlive the process are read by another one, perhaps of another
 * version.
 */
export const ROWS_VERSION = 1;

/** Words of a hot row. */
export const FLOW = {
  oSource: 0,
  oDestination: 1,
  oPorts: 2,
  rSource: 3,
  rDestination: 4,
  rPorts: 5,
  kind: 6,
  status: 7,
  seen: 8,
  previous: 9,
  next: 10,
  /** Zone the original direction is sent to | zone the reply direction is sent to << 16. */
  zones: 11,
  /** Next hop in the zone the original direction is sent to; then the other. */
  oNextHop: 12,
  rNextHop: 13,
  /** Number of a NAT mapping, or -1. */
  mapping: 14,
  /** Port of a bridge whose quota the flow counts for, or NO_OWNER | route generation << 16. */
  owner: 15,
} as const;

/** log2 of the words of a hot row. */
export const FLOW_SHIFT = 4;
/** Words from the original tuple to the reply tuple. */
export const TUPLE_WORDS = 3;

/** Owner of a flow that counts for no port. */
export const NO_OWNER = 0xffff;

/** The status word. */
export const Status = {
  /** A number of `TcpState`; 0 for other protocols. */
  stateMask: 0x0f,
  classShift: 4,
  classMask: 0x1f << 4,
  used: 1 << 9,
  seenReply: 1 << 10,
  assured: 1 << 11,
  /** Begun in the middle of a connection (C10). */
  pickedUp: 1 << 12,
  /** No frame of it was tracked yet. */
  fresh: 1 << 13,
  /** Direction flags of the original direction; those of the reply direction are 8 bits above. */
  directionShift: 16,
  directionBits: 8,
} as const;

/** Flags of one direction: those of `SynOption` (0 … 0x3f), and these. */
export const DirectionFlag = { maxAck: 0x40, unacknowledged: 0x80 } as const;

/** Words of a cold row. */
export const COLD = {
  packets: 4,
  carries: 6,
  created: 7,
  end: 8,
  maxEnd: 9,
  maxWindow: 10,
  maxAck: 11,
  lastEnd: 16,
  last: 17,
} as const;

export const COLD_WORDS = 18;
/** Float64 of a cold row; bytes of the original direction stand first, then those of the reply. */
export const COLD_FLOATS = COLD_WORDS / 2;
/** Words from `end` of the original direction to that of the reply. */
export const WINDOW_WORDS = 4;

/** Why a flow ended. */
export const Removal = {
  expired: 0,
  replaced: 1,
  reset: 2,
  early_dropped: 3,
  flushed: 4,
  owner_closed: 5,
  unpublished: 6,
  route_changed: 7,
  address_changed: 8,
} as const;
export type RemovalName = keyof typeof Removal;
export type RemovalReason = (typeof Removal)[RemovalName];

const REMOVALS = Object.keys(Removal) as RemovalName[];

/** Of a number of `Removal`. */
export function removalName(reason: number): RemovalName {
  return REMOVALS[reason];
}

/** Zones from here on are uplinks, those below bridges. */
export const UPLINK_ZONE = 256;
