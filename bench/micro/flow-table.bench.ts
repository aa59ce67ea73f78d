/**
 * The flow table behind the gateway, default limit, 100,000 UDP flows in it. Argument:
 *   find    one lookup that hits, original and reply tuples in an order no cache foresees
 *   track   the same and what every frame of a known flow does besides: timer, counters
 *   open    a new flow in the place of the oldest: what is removed, looked up, and added
 */
import { COLD, COLD_WORDS, FLOW, Removal } from '../../dist/conntrack/flow-layout.js';
import { FlowTable } from '../../dist/conntrack/flow-table.js';
import { TimeoutClass } from '../../dist/conntrack/timeouts.js';
import { Random } from '../../dist/core/random.js';
import { expectEqual, measure } from './measure.js';

const variant = process.argv[2] ?? 'find';
const FLOWS = 100_000;
const LOOKUPS = 1 << 16;
const KIND = 17 | (4 << 8);
const SERVER = 0x0808_0808;
const OUTER = 0x3333_3301 | 0;
const FRAME_BYTES = 46;
const { udpStream: CLASS } = TimeoutClass;

let removed = 0;
const table = new FlowTable({
  limit: 262_144,
  ownerCapacity: 1,
  ownerLimit: 262_144,
  seed: 0x5eed,
  onRemove: () => {
    removed++;
  },
});

/** 250 containers, as many flows each as it takes. */
const sourceOf = (index: number) => 0x0a09_0002 + (index % 250);
const destinationOf = (index: number) => SERVER + (index >> 14);
const portsOf = (index: number) => ((1024 + (index >> 2)) << 16) | 53;
const outerPortsOf = (index: number) => (53 << 16) | (16_384 + (index & 0x3fff));

function open(index: number): number {
  const destination = destinationOf(index);
  return table.add(sourceOf(index), destination, portsOf(index), KIND, destination, OUTER, outerPortsOf(index), 0, CLASS, 1);
}

for (let index = 0; index < FLOWS; index++) expectEqual('flow', open(index), index);

const random = new Random(5);
const picks = Int32Array.from({ length: LOOKUPS }, () => random.below(FLOWS));
const tuples = new Int32Array(LOOKUPS * 4);
picks.forEach((index, position) => {
  const tuple =
    position % 2 === 0
      ? [sourceOf(index), destinationOf(index), portsOf(index)]
      : [destinationOf(index), OUTER, outerPortsOf(index)];
  tuples.set(tuple, position * 4);
});

let done = 0;
let seconds = 1;

function find(): void {
  let hits = 0;
  for (let at = 0; at < tuples.length; at += 4) {
    hits += table.find(tuples[at], tuples[at + 1], tuples[at + 2], KIND) >= 0 ? 1 : 0;
  }
  done += hits;
}

function track(): void {
  seconds++;
  for (let at = 0; at < tuples.length; at += 4) {
    const ref = table.find(tuples[at], tuples[at + 1], tuples[at + 2], KIND);
    table.touch(ref >> 1, CLASS, seconds);
    table.account(ref >> 1, ref & 1, FRAME_BYTES, 1);
    done++;
  }
}

function replace(): void {
  for (let turn = 0; turn < LOOKUPS; turn++) {
    const oldest = table.oldest(CLASS);
    table.remove(oldest, Removal.expired);
    // Its number is given to the next flow at once, so the flow that comes is the one that went.
    done += open(oldest) === oldest ? 1 : 0;
  }
}

const runs = { find, track, open: replace };
measure({
  units: LOOKUPS,
  run: runs[variant as keyof typeof runs],
  check(count) {
    expectEqual('flows', done, count * LOOKUPS);
    expectEqual('removed', removed, variant === 'open' ? count * LOOKUPS : 0);
    if (variant === 'track') {
      let frames = 0;
      for (let flow = 0; flow < FLOWS; flow++) frames += table.packetsOf(flow, 0) + table.packetsOf(flow, 1);
      expectEqual('frames', frames, count * LOOKUPS);
    }
    expectEqual('made in second', table.cold[COLD_WORDS * 7 + COLD.created], 1);
    expectEqual('kind', table.words[FLOW.kind], KIND);
  },
});
