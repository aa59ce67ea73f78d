/**
 * Puts datagrams of one UDP flow next to each other, so that interleaved flows merge as one alone does (coalesce.ts merges neighbours only).
 *
 *     list      a1 b1 a2 | tcp | c1 a3 c2 b2          a run ends at every frame that is no plain datagram
 *     gathered  a1 a2 b1 | tcp | c1 c2 a3 b2          flows in the order of their first datagram
 *
 * Invariants: a flow's frames keep their order; a frame that is not a whole, untagged IPv4 datagram is overtaken by nothing and overtakes
 * nothing, so fragments, ICMP errors and ARP stay where they were among their neighbours. Between the datagrams of different flows of one
 * burst the order is given up, which L30 would keep for all frames between two ports; the kernel's own GRO gives it up too (net/core/gro.c
 * keeps a list per flow).
 * Why hash chains, not comparisons with every open group: with many flows that costs the product of both. Flows that share a chain stay in
 * the order they came, they only merge less.
 */
import * as vnet from '../wire/vnet-header.js';

/** Chains of a run. More flows than that in one burst have one or two datagrams each: nothing to win. */
const CHAINS = 256;
const CHAIN_BITS = 8;

/** Little-endian halves and bytes of the words drawn in coalesce.ts. */
const TYPE_IPV4 = 0x0008;
const VERSION_IHL = 0x45;
const UDP = 17;
/** Flags and offset without DF: a fragment has one of them. */
const FRAGMENT = 0xffbf;
/** 2^32 divided by the golden ratio: Knuth's multiplicative hash. */
const SPREAD = 0x9e3779b1 | 0;

const head = new Int32Array(CHAINS);
const tail = new Int32Array(CHAINS);
/** Run in which a chain was begun last. */
const begun = new Int32Array(CHAINS);
const chains = new Int32Array(CHAINS);
let run = 0;
/** By place in the list: the next of the same chain. */
let link: Int32Array = new Int32Array(0);
let gathered: Int32Array = new Int32Array(0);

/** Is this a datagram whose place among other flows does not matter? */
function movable(words: Int32Array, bytes: Uint8Array, at: number, length: number): boolean {
  const x = (at + 2) >> 2;
  return (
    (at & 3) === 2 &&
    length > 42 &&
    words[x + 2] >>> 16 === TYPE_IPV4 &&
    (words[x + 3] & 0xff) === VERSION_IHL &&
    ((words[x + 5] >>> 8) & 0xff) === UDP &&
    ((words[x + 4] >>> 16) & FRAGMENT) === 0 &&
    vnet.gsoType(bytes, at - vnet.HEADER_BYTES) === vnet.GsoType.none
  );
}

function chainOf(words: Int32Array, at: number, ingress: number): number {
  const x = (at + 2) >> 2;
  let hash = Math.imul(words[x + 8], SPREAD) ^ words[x + 7];
  hash = Math.imul(hash, SPREAD) ^ words[x + 6] ^ ingress;
  return Math.imul(hash, SPREAD) >>> (32 - CHAIN_BITS);
}

/**
 * Reorders order[0, count) in place.
 * @param words the arena as 32-bit words from the same byte on as `bytes`
 * @param at arena offsets of the frames, their vnet headers directly before them
 */
export function gatherFlows(
  words: Int32Array,
  bytes: Uint8Array,
  ingress: Int32Array,
  at: Int32Array,
  length: Int32Array,
  order: Int32Array,
  count: number,
): void {
  if (link.length < order.length) {
    link = new Int32Array(order.length);
    gathered = new Int32Array(order.length);
  }
  for (let index = 0; index < count; ) {
    index = gatherRun(words, bytes, ingress, at, length, order, index, count) + 1;
  }
}

/** One run from `start` on. @returns the place of the frame that ended it, or `count` */
function gatherRun(
  words: Int32Array,
  bytes: Uint8Array,
  ingress: Int32Array,
  at: Int32Array,
  length: Int32Array,
  order: Int32Array,
  start: number,
  count: number,
): number {
  run = (run + 1) | 0;
  if (run === 0) {
    // After 2^32 runs (an hour of single frames): what was begun in one of the same number must not look like begun in this one.
    begun.fill(0);
    run = 1;
  }
  let opened = 0;
  let changes = 0;
  let before = -1;
  let end = start;
  for (; end < count; end++) {
    const frame = order[end];
    if (!movable(words, bytes, at[frame], length[frame])) {
      break;
    }
    const chain = chainOf(words, at[frame], ingress[frame]);
    if (begun[chain] !== run) {
      begun[chain] = run;
      head[chain] = end;
      chains[opened++] = chain;
    } else {
      link[tail[chain]] = end;
    }
    tail[chain] = end;
    link[end] = -1;
    if (chain !== before) {
      changes++;
      before = chain;
    }
  }
  // As many changes as chains: each flow lies together already.
  if (changes > opened) {
    rewrite(order, start, opened);
  }
  return end;
}

function rewrite(order: Int32Array, start: number, opened: number): void {
  let filled = 0;
  for (let index = 0; index < opened; index++) {
    for (let place = head[chains[index]]; place >= 0; place = link[place]) {
      gathered[filled++] = order[place];
    }
  }
  for (let index = 0; index < filled; index++) {
    order[start + index] = gathered[index];
  }
}
