/**
 * The free ports of one outer address and one class (TCP, UDP, ICMP ids): rules N10, N11, N13, N14.
 *
 *     plan ──▶ eligible ─┬─ free      a bit in `free`: 65,536 bits = 2,048 words
 *                        ├─ taken     by a mapping
 *                        └─ resting   given back less than `restSeconds` ago: a ring, oldest first
 *
 * A port is, in this order: the wanted one, if free; the one that is this inner endpoint's own (`ownPort`), if free or resting; one that a random
 * draw hits, up to 8 draws; the next free one behind the last draw.
 * The draws spread over the ranges, not over their span, so that the port behind a gap is no likelier than others; the search makes sure
 * that a port is found as long as there is one (RFC 6056, 3.3.2 and 3.3.1, where a bounded number of draws may fail). It looks at 32 ports
 * a step: at 99 % full a handful of steps, at most 2,048.
 * To another endpoint a port that rests is handed out only when no other is left, the one that rests longest first, wanted or not: an old segment of its last
 * connection, or a peer still in TIME-WAIT, could otherwise meet the new one (N14).
 *
 * Senders below port 1024 get a port below 1024 while there is one, others never do (N10, RFC 4787 REQ-3a). With `parity`, an even port gets
 * an even one and an odd port an odd one, while there is one (N11, REQ-4).
 *
 * Invariants: a bit of `free` is set exactly for an eligible port that is neither taken nor resting; a resting port stands in the ring, at
 * `restPlace`; other entries of it there are passed over.
 *
 * Memory: 328 KiB, and 512 KiB more when ports rest.
 */
import { hashOf } from '../core/table.js';
import { PORTS } from './port-guard.js';
import { LOW_PORTS_END, type PortPlan, type PortRange } from './port-plan.js';

const DRAWS = 8;
const WORDS = PORTS >>> 5;
/** Idle: neither taken nor resting, and free if the plan says so. */
const State = { idle: 0, taken: 1, resting: 2 } as const;

/** The ranges a draw is made from. */
interface Draw {
  readonly ranges: readonly PortRange[];
  /** Ports in all of them. */
  readonly ports: number;
}

/** Bits of the ports with the parity of the index. */
const PARITY_BITS = [0x5555_5555, 0xaaaa_aaaa | 0];

export interface PortPoolOptions {
  /** A number in [0, 1). */
  random: () => number;
  plan: PortPlan;
  /** N14; 0: a port given back is free at once. */
  restSeconds: number;
  /** N10; false for ICMP ids. */
  classes: boolean;
  /** N11. */
  parity: boolean;
}

export class PortPool {
  private readonly plan: PortPlan;
  private readonly random: () => number;
  private readonly restSeconds: number;
  private readonly free = new Int32Array(WORDS);
  private readonly state = new Uint8Array(PORTS);
  private low: Draw = { ranges: [], ports: 0 };
  private high: Draw = { ranges: [], ports: 0 };
  /** Whether ports below 1024 are a class of their own. */
  private readonly classes: boolean;
  private readonly parity: boolean;
  private freeLow = 0;
  private freeHigh = 0;
  /** Ring of resting ports: allotted at the first. */
  private readonly restPorts: Uint16Array;
  private readonly restSince: Int32Array;
  /** Where in the ring a resting port stands; other entries of it are of earlier rests. */
  private readonly restPlace: Uint16Array;
  /** A hash of the inner endpoint that has or had a port. */
  private readonly holder = new Int32Array(PORTS);
  private restHead = 0;
  private restCount = 0;
  /** Ports that rest. */
  private resting = 0;
  private takenCount = 0;

  constructor(options: PortPoolOptions) {
    this.random = options.random;
    this.plan = options.plan;
    this.restSeconds = options.restSeconds;
    this.classes = options.classes;
    this.parity = options.parity;
    const { restSeconds } = options;
    this.restPorts = new Uint16Array(restSeconds > 0 ? PORTS : 0);
    this.restSince = new Int32Array(restSeconds > 0 ? PORTS : 0);
    this.restPlace = new Uint16Array(restSeconds > 0 ? PORTS : 0);
    this.refresh(0, PORTS - 1);
  }

  /** Ports that can be taken now, resting ones included. */
  get freeCount(): number {
    return this.freeLow + this.freeHigh + this.resting;
  }

  /** Ports in use. */
  get taken(): number {
    return this.takenCount;
  }

  /** The ports of the plan that are in use or can be: the size to compare `taken` with. */
  get size(): number {
    return this.takenCount + this.freeCount;
  }

  /** To be called when the plan of [first, last] has changed. Ports in use stay in use until they are released. */
  refresh(first: number, last: number): void {
    const split = this.classes ? LOW_PORTS_END : 0;
    this.low = drawFrom(this.plan.within(0, split));
    this.high = drawFrom(this.plan.within(split, PORTS));
    for (let port = first; port <= last; port++) {
      const eligible = this.state[port] === State.idle && this.plan.eligible(port);
      if (eligible !== this.isFree(port)) this.setFree(port, eligible);
    }
  }

  /**
   * @param wanted the inner port
   * @param spread of the inner address, >= 0: a number nobody outside knows; -1: its ports are nobody's own
   * @returns a port, or -1 when none is left
   */
  take(wanted: number, seconds: number, spread = -1): number {
    this.wake(seconds);
    const low = this.classes && wanted < LOW_PORTS_END;
    let port = -1;
    const holder = hashOf(wanted, spread);
    const own = low || this.parity || spread < 0 ? -1 : this.ownPort(wanted, spread);
    if (this.isFree(wanted)) {
      port = wanted;
    } else if (own >= 0 && this.isFree(own)) {
      port = own;
    } else if (own >= 0 && this.state[own] === State.resting && this.holder[own] === holder && this.plan.eligible(own)) {
      this.state[own] = State.taken;
      this.resting--;
      this.takenCount++;
      return own;
    } else {
      if (low && this.freeLow > 0) {
        port = this.pick(this.low, 0, LOW_PORTS_END, wanted);
      }
      if (port < 0 && this.freeHigh > 0) {
        port = this.pick(this.high, this.classes ? LOW_PORTS_END : 0, PORTS, wanted);
      }
      if (port < 0) {
        return this.takeResting(low, holder);
      }
    }
    this.setFree(port, false);
    this.state[port] = State.taken;
    this.holder[port] = holder;
    this.takenCount++;
    return port;
  }

  /** Takes this very port, whatever the plan says of it: somebody outside counts on it already. Returns false when another mapping has it. */
  adopt(port: number, wanted: number, spread: number): boolean {
    if (this.state[port] !== State.idle) {
      return false;
    }
    if (this.isFree(port)) this.setFree(port, false);
    this.state[port] = State.taken;
    this.holder[port] = hashOf(wanted, spread);
    this.takenCount++;
    return true;
  }

  /** Gives back a port that was taken. */
  release(port: number, seconds: number): void {
    if (this.state[port] !== State.taken) {
      return;
    }
    this.takenCount--;
    if (this.restSeconds > 0 && this.plan.eligible(port)) {
      this.state[port] = State.resting;
      this.resting++;
      this.pushResting(port, seconds);
      return;
    }
    this.becomeIdle(port);
  }

  /** Ends the rest of those that have rested long enough. */
  private wake(seconds: number): void {
    while (this.restCount > 0 && seconds - this.restSince[this.restHead] >= this.restSeconds) {
      const port = this.shiftResting();
      if (port >= 0) {
        this.becomeIdle(port);
      }
    }
  }

  /** The port that has rested longest; one the plan has blocked meanwhile is passed over, as is one of the low class for a high sender. */
  private takeResting(low: boolean, holder: number): number {
    for (let left = this.restCount; left > 0; left--) {
      const since = this.restSince[this.restHead];
      const port = this.shiftResting();
      if (port < 0) {
        continue;
      }
      if (!this.plan.eligible(port)) {
        this.state[port] = State.idle;
        this.resting--;
      } else if (this.classes && !low && port < LOW_PORTS_END) {
        this.pushResting(port, since);
      } else {
        this.state[port] = State.taken;
        this.holder[port] = holder;
        this.resting--;
        this.takenCount++;
        return port;
      }
    }
    return -1;
  }

  private pushResting(port: number, since: number): void {
    if (this.restCount === PORTS) {
      // Entries of ports that were taken meanwhile fill it: the oldest gives way.
      const oldest = this.shiftResting();
      if (oldest >= 0) {
        this.becomeIdle(oldest);
      }
    }
    const tail = (this.restHead + this.restCount) & (PORTS - 1);
    this.restPorts[tail] = port;
    this.restSince[tail] = since;
    this.restPlace[port] = tail;
    this.restCount++;
  }

  /** The port of the oldest entry, or -1 when it was taken out of its rest. */
  private shiftResting(): number {
    const head = this.restHead;
    const port = this.restPorts[head];
    this.restHead = (head + 1) & (PORTS - 1);
    this.restCount--;
    return this.state[port] === State.resting && this.restPlace[port] === head ? port : -1;
  }

  /**
   * The port that is an inner endpoint's own as long as nobody else has it: the inner port moved by the address's spread, so that the ports of one
   * host keep apart. It may be taken out of its rest, because it is the same endpoint that had it: the peer that still remembers the last connection
   * of both sees its sequence numbers and timestamps go on, and takes the new one (RFC 6191). Any other port would have to wait there.
   */
  private ownPort(wanted: number, spread: number): number {
    const { ports } = this.high;
    return ports === 0 ? -1 : nth(this.high, (wanted + spread) % ports);
  }

  private becomeIdle(port: number): void {
    if (this.state[port] === State.resting) {
      this.resting--;
    }
    this.state[port] = State.idle;
    if (this.plan.eligible(port)) {
      this.setFree(port, true);
    }
  }

  /** A free port of [from, to), of which there is one. */
  private pick(draw: Draw, from: number, to: number, wanted: number): number {
    const bits = this.parity ? PARITY_BITS[wanted & 1] : -1;
    let port = from;
    for (let tries = 0; tries < DRAWS; tries++) {
      port = this.draw(draw);
      if (this.parity) {
        port = (port & ~1) | (wanted & 1);
      }
      if (this.isFree(port)) {
        return port;
      }
    }
    const next = this.nextAround(port, from, to, bits);
    return next >= 0 ? next : this.nextAround(port, from, to, -1);
  }

  /** The first free port behind `port`, or failing that of [from, port), among those whose bits are asked for; or -1. */
  private nextAround(port: number, from: number, to: number, bits: number): number {
    const behind = this.nextFree(port, to, bits);
    return behind >= 0 ? behind : this.nextFree(from, port, bits);
  }

  private draw(draw: Draw): number {
    return nth(draw, Math.floor(this.random() * draw.ports));
  }

  private nextFree(from: number, to: number, asked: number): number {
    if (from >= to) {
      return -1;
    }
    const free = this.free;
    const lastWord = (to - 1) >>> 5;
    let bits = free[from >>> 5] & asked & (-1 << (from & 31));
    for (let word = from >>> 5; word <= lastWord; ) {
      if (bits !== 0) {
        const port = (word << 5) + 31 - Math.clz32(bits & -bits);
        return port < to ? port : -1;
      }
      word++;
      bits = word <= lastWord ? free[word] & asked : 0;
    }
    return -1;
  }

  private isFree(port: number): boolean {
    return (this.free[port >>> 5] & (1 << (port & 31))) !== 0;
  }

  private setFree(port: number, isFree: boolean): void {
    this.free[port >>> 5] ^= 1 << (port & 31);
    const step = isFree ? 1 : -1;
    if (this.classes && port < LOW_PORTS_END) {
      this.freeLow += step;
    } else {
      this.freeHigh += step;
    }
  }
}

/** The port of this place in the ranges of a draw. */
function nth(draw: Draw, place: number): number {
  let index = place;
  for (let range = 0; range < draw.ranges.length; range++) {
    const { first, last } = draw.ranges[range];
    const ports = last - first + 1;
    if (index < ports) {
      return first + index;
    }
    index -= ports;
  }
  return 0;
}

function drawFrom(ranges: readonly PortRange[]): Draw {
  return { ranges, ports: ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0) };
}
