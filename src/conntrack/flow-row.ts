/**
 * Whether a row found in memory is a flow: for rows another process left, which may have been killed while it wrote, and of a file somebody else may
 * have written to. What passes here cannot make the table or the tracker index out of bounds, loop or throw.
 */

import { Protocol } from '../wire/ipv4.js';
import { COLD, COLD_FLOATS, COLD_WORDS, FLOW, FLOW_SHIFT, NO_OWNER, Status } from './flow-layout.js';
import { isKind, protocolOf } from './kind.js';
import { TCP_STATES } from './tcp-states.js';
import { ENDED_CLASS } from './timeouts.js';

/** Where rows are. */
export interface FlowRows {
  readonly words: Int32Array;
  readonly cold: Int32Array;
  readonly floats: Float64Array;
}

const { used: USED, fresh: FRESH, stateMask: STATE_MASK, classMask: CLASS_MASK, classShift: CLASS_SHIFT } = Status;

/**
 * Counters that are none begin again at 0: they are told, and decide nothing.
 *
 * @param ownerCapacity owners are numbers below this
 * @param seconds now: no flow is of later
 */
export function isWhole({ words, cold, floats }: FlowRows, flow: number, ownerCapacity: number, seconds: number): boolean {
  const row = flow << FLOW_SHIFT;
  const status = words[row + FLOW.status];
  const kind = words[row + FLOW.kind];
  const owner = words[row + FLOW.owner] & 0xffff;
  const states = protocolOf(kind) === Protocol.tcp ? TCP_STATES.length : 1;
  const whole =
    (status & (USED | FRESH)) === USED &&
    (status & CLASS_MASK) >> CLASS_SHIFT < ENDED_CLASS &&
    (status & STATE_MASK) < states &&
    isKind(kind) &&
    (owner === NO_OWNER || owner < ownerCapacity) &&
    ((seconds - words[row + FLOW.seen]) | 0) >= 0 &&
    ((seconds - cold[flow * COLD_WORDS + COLD.created]) | 0) >= 0;
  for (let direction = 0; whole && direction < 2; direction++) {
    const bytes = floats[flow * COLD_FLOATS + direction];
    if (!(bytes >= 0 && bytes <= Number.MAX_SAFE_INTEGER)) floats[flow * COLD_FLOATS + direction] = 0;
  }
  return whole;
}
