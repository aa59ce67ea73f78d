/**
 * Handover: frames for the gateway on their way from the engine thread that received them to the keeper, which alone routes.
 *
 *     thread 1   classify ─▶ egress.gateway ─▶ give ─▶ ring 1 ─┐
 *     thread 2   classify ─▶ egress.gateway ─▶ give ─▶ ring 2 ─┴─▶ pull ─▶ behind the batch ─▶ route ─▶ gateway.forward    keeper
 *
 * The flow table, the pool of ports and all else of the gateway are the keeper's, without a lock. What the keeper answers leaves by its own queue of a
 * TAP, and the kernel then deals the flow to that queue (tun: automatic queue selection): with traffic both ways a flow is handed over for its first
 * frames only.
 *
 * A frame is classified, and counted as received and `routed`, by the thread that received it: source guard, learning, captures and faults are done. The
 * keeper puts it behind its own frames and does nothing but route it. One ring, first in, first out, keeps the order of a flow; when the kernel moves a
 * flow to the keeper's queue, a frame may overtake those still on their way.
 *
 * Invariants: nobody waits for anybody. A frame the ring has no room for is dropped by its thread as `handover_lost`, as is by the keeper one whose
 * bridge or gateway is gone meanwhile. The keeper is woken at most once a pass of a thread, and only when it dozes.
 *
 * Limits: 2 MiB a ring. The keeper takes what fits the batch, and leaves room there for what it makes itself: the rest stays in the ring.
 */
import type { Bridge } from '../bridge/bridge.js';
import type { Egress } from '../bridge/egress.js';
import type { PortTable } from '../bridge/port-table.js';
import type { Batch } from '../core/batch.js';
import { GATEWAY, type GatewayCounters } from '../core/counters.js';
import { HandoverRing } from '../core/handover-ring.js';
import type { Gateway } from '../gateway/gateway.js';
import type { ThreadPlace } from './protocol.js';

/** Frames of the batch, and bytes of its made frames, kept for ARP answers, ICMP errors and fragments. */
const FRAMES_KEPT = 128;
const BYTES_KEPT = 1 << 18;

export class Handover {
  /** The keeper's: all of them. Another thread's: its own. */
  private readonly rings: readonly HandoverRing[];
  private readonly table: PortTable;
  private readonly bridges: readonly (Bridge | null)[];
  private readonly counters: GatewayCounters;
  private readonly wake: (waker: number) => void;
  /** Ring the next pull begins with. */
  private first = 0;
  /** Whether something was given since the keeper was told. */
  private given = false;

  /**
   * @param memory a ring for each thread behind the keeper, in their order
   * @param waker what ends the sleep of this thread, for the others
   * @param wake ends the sleep of another
   */
  constructor(
    { index }: ThreadPlace,
    memory: readonly SharedArrayBuffer[],
    table: PortTable,
    bridges: readonly (Bridge | null)[],
    counters: GatewayCounters,
    waker: number,
    wake: (waker: number) => void,
  ) {
    this.rings = (index === 0 ? memory : memory.slice(index - 1, index)).map((each) => new HandoverRing(each));
    this.table = table;
    this.bridges = bridges;
    this.counters = counters;
    this.wake = wake;
    if (index === 0) for (const ring of this.rings) ring.setWaker(waker);
  }

  /** Another thread: hands over the frames of one run that are for the gateway. */
  give(batch: Batch, egress: Egress, port: number): void {
    const ring = this.rings[0];
    const bridge = this.table.bridge[port];
    let given = 0;
    let lost = 0;
    for (let frame = egress.gateway.head[0]; frame >= 0; frame = batch.next[frame]) {
      if (ring.write(batch, frame, port, bridge)) given++;
      else lost++;
    }
    this.given ||= given > 0;
    this.counters.add(bridge, GATEWAY.handed_over, given);
    if (lost > 0) this.lose(bridge, lost);
  }

  /** Another thread, once a pass: tells the keeper, if it sleeps. */
  tell(): void {
    if (!this.given) {
      return;
    }
    this.given = false;
    const waker = this.rings[0].sleeper();
    if (waker >= 0) this.wake(waker);
  }

  /** Keeper, before it sleeps: returns true when it must not, because there are frames. */
  doze(): boolean {
    let waiting = false;
    for (const ring of this.rings) waiting = ring.doze() || waiting;
    return waiting;
  }

  /** Keeper, when it is awake. */
  rise(): void {
    for (const ring of this.rings) ring.rise();
  }

  /** Keeper: adds what was handed over to the batch, as far as there is room. */
  pull(batch: Batch): void {
    const { rings } = this;
    const first = this.first;
    for (let turn = 0; turn < rings.length; turn++) {
      const index = (first + turn) % rings.length;
      if (!this.pullFrom(rings[index], batch)) {
        // Whose frames are left is first next time.
        this.first = index;
        return;
      }
    }
    this.first = (first + 1) % rings.length;
  }

  /** Keeper: routes frames [from, to) of the batch, those of one port at a time. */
  route(batch: Batch, from: number, to: number, gateway: Gateway, egress: Egress): void {
    for (let frame = from; frame < to; ) {
      const port = batch.ingress[frame];
      for (; frame < to && batch.ingress[frame] === port; frame++) egress.toGateway(batch, frame);
      gateway.forward(batch, egress);
      egress.gateway.clear();
    }
  }

  /** Returns false when the batch has no room for the next frame. */
  private pullFrom(ring: HandoverRing, batch: Batch): boolean {
    for (let length = ring.next(); length >= 0; length = ring.next()) {
      const { port, bridge } = ring;
      if (this.table.bridge[port] !== bridge || (this.bridges[bridge]?.gatewayPort ?? -1) < 0) {
        ring.skip();
        this.lose(bridge, 1);
        continue;
      }
      if (batch.capacity - batch.count <= FRAMES_KEPT || batch.madeRoom < length + BYTES_KEPT) {
        return false;
      }
      const frame = batch.append(port, length);
      if (frame < 0) {
        return false;
      }
      ring.take(batch, frame);
    }
    return true;
  }

  private lose(bridge: number, frames: number): void {
    this.counters.add(bridge, GATEWAY.routed, frames);
    this.counters.add(bridge, GATEWAY.handover_lost, frames);
  }
}
