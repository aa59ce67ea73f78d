/**
 * The engine threads of a daemon as the main thread sees them: one link to all.
 *
 *                   ┌─ commands, each thread in its turn (scope.ts) ─▶ thread 0, the keeper ─┐
 *     main thread ──┤                                                ▶ thread 1             ─┼── events, counters ──▶ main thread
 *                   └                                                ▶ ...                  ─┘
 *
 * All threads know all bridges and ports; each reads its own queue of every TAP and its own socket of every interface, has its own arena, and
 * decides by the same tables. The kernel gives the frames of a flow to one queue, so their order is kept. The keeper alone routes; the others hand it
 * the frames for the gateway (handover.ts). With one thread nothing is
 * shared, and everything is as if there were no group. When a thread dies, all do.
 */
import {
  BRIDGE_COUNTERS,
  type BridgeCounter,
  CounterSum,
  Counters,
  type CounterView,
  GATEWAY_COUNTERS,
  type GatewayCounter,
  LOOP_COUNTERS,
  type LoopCounter,
  PORT_COUNTERS,
  type PortCounter,
} from '../core/counters.js';
import { HandoverRing } from '../core/handover-ring.js';
import type { Binding } from '../native/binding.js';
import { EngineThread, type EngineThreadOptions } from './engine-thread.js';
import {
  type CommandAnswer,
  type CommandArguments,
  type CommandName,
  DEFAULT_MAX_PORTS,
  type EngineEvent,
  MAX_THREADS,
} from './protocol.js';
import { Rates } from './rates.js';
import { answerOf, Distribution, type Order } from './scope.js';

export interface EngineGroupOptions extends Omit<EngineThreadOptions, 'place' | 'loop'> {
  /** Default 1. */
  threads?: number;
}

export class EngineGroup {
  readonly threads: number;
  readonly portCounters: CounterView<PortCounter>;
  readonly bridgeCounters: CounterView<BridgeCounter>;
  readonly gatewayCounters: CounterView<GatewayCounter>;
  /** A row for each thread. */
  readonly loop: CounterView<LoopCounter>;
  /** Resolves when a thread died without being asked to; the others are ended then. */
  readonly failed: Promise<Error>;
  private readonly members: readonly EngineThread[];
  private readonly distribution: Distribution;
  /** Ports given up by a thread: each of them says so, it is told once. */
  private readonly failedPorts = new Set<number>();
  private last: Promise<unknown> = Promise.resolve();

  private constructor(members: readonly EngineThread[], maxPorts: number) {
    this.members = members;
    this.threads = members.length;
    this.distribution = new Distribution(members.length, maxPorts);
    const [keeper] = members;
    const blocks = <Name extends string>(names: readonly Name[], of: (member: EngineThread) => CounterView<Name>) =>
      members.length === 1 ? of(keeper) : new CounterSum(names, members.map(of));
    this.portCounters = blocks(PORT_COUNTERS, ({ portCounters }) => portCounters);
    this.bridgeCounters = blocks(BRIDGE_COUNTERS, ({ bridgeCounters }) => bridgeCounters);
    this.gatewayCounters = blocks(GATEWAY_COUNTERS, ({ gatewayCounters }) => gatewayCounters);
    this.loop = keeper.loop;
    this.failed = Promise.race(members.map(({ failed }) => failed)).then((error) => {
      for (const member of members) member.abandon();
      return error;
    });
  }

  /** Starts the workers. @throws Error when one of them cannot load the addon or get its memory */
  static async start(binding: Binding, options: EngineGroupOptions = {}): Promise<EngineGroup> {
    const { threads = 1, maxPorts = DEFAULT_MAX_PORTS } = options;
    if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
      throw new RangeError(`there may be 1 to ${MAX_THREADS} engine threads, not ${threads}`);
    }
    const handover = Array.from({ length: threads - 1 }, () => HandoverRing.allocate());
    const loop = new Counters(LOOP_COUNTERS, threads);
    const buckets = Rates.allocate(maxPorts);
    const starts = Array.from({ length: threads }, (_, index) => {
      const place = threads === 1 ? { index, count: threads } : { index, count: threads, handover, buckets };
      return EngineThread.start(binding, { ...options, maxPorts, place, loop });
    });
    const started = await Promise.allSettled(starts);
    const members = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const refused = started.find((each) => each.status === 'rejected');
    if (refused !== undefined) {
      await Promise.all(members.map((member) => member.stop()));
      throw refused.reason;
    }
    return new EngineGroup(members, maxPorts);
  }

  /** Whether all threads run: with one of them dead no call is answered. */
  get alive(): boolean {
    return this.members.every(({ alive }) => alive);
  }

  /** Carried out by every thread it concerns when this resolves. @throws Error with the engine's reason when it refuses */
  call<Name extends CommandName>(name: Name, args: CommandArguments<Name>): Promise<CommandAnswer<Name>> {
    if (this.members.length === 1) return this.members[0].call(name, args);
    // One after the other: two threads must not hear of two commands in different orders.
    const turn = this.last.then(() => this.distribute(name, args));
    this.last = turn.catch(() => {});
    return turn;
  }

  onEvent(listener: (event: EngineEvent) => void): void {
    if (this.members.length === 1) {
      this.members[0].onEvent(listener);
      return;
    }
    for (const member of this.members) {
      member.onEvent((event) => {
        if (event.event !== 'port-failed') listener(event);
        else if (!this.failedPorts.has(event.port)) {
          this.failedPorts.add(event.port);
          listener(event);
        }
      });
    }
  }

  /** Ends all threads after their current pass; their descriptors are closed, ports and bridges forgotten. */
  async stop(): Promise<void> {
    await this.last;
    for (const member of this.members.toReversed()) await member.stop();
  }

  private async distribute<Name extends CommandName>(name: Name, args: CommandArguments<Name>): Promise<CommandAnswer<Name>> {
    // What the threads said of the port before is known: they answer behind it.
    if (name === 'add-port' || name === 'add-uplink') this.failedPorts.delete((args as { port: number }).port);
    const answers: CommandAnswer<Name>[] = [];
    const done: Order[] = [];
    for (const order of this.distribution.orders(name, args)) {
      try {
        answers[order.thread] = (await this.members[order.thread].call(order.name, order.args)) as CommandAnswer<Name>;
        done.push(order);
      } catch (error) {
        await this.undo(done);
        throw error;
      }
    }
    return answerOf(name, answers);
  }

  /** A port that one thread cannot have, no thread has. Other commands are refused by all or none: they ask for nothing of the kernel. */
  private async undo(done: readonly Order[]): Promise<void> {
    for (const { thread, name, args } of done.toReversed()) {
      if (name !== 'add-port') continue;
      const { port } = args as CommandArguments<'add-port'>;
      await this.members[thread].call('remove-port', { port }).catch(() => {});
    }
  }
}
