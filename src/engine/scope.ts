/**
 * Commands and several engine threads: which threads carry a command out, and in which order.
 *
 *     keeper         it alone: the tables are everybody's
 *     keeper first   the keeper, then the others: if it refuses, nobody else has heard of it
 *     keeper last    the others, then the keeper: it forgets a port when nobody can learn there any more
 *
 * The answer is the keeper's; of `release`, what any of them refused. A port's frames are on their way through one thread while another does not know the port yet, or any more:
 * what it sends there meanwhile is dropped, counted as `tx_port_down`.
 */

import { SharedFdb } from '../bridge/shared-fdb.js';
import { allocateBridge } from '../bridge/sharing.js';
import type { CommandAnswer, CommandArguments, CommandName, Commands } from './protocol.js';

export type Scope = 'keeper' | 'keeper first' | 'keeper last';

const SCOPES = {
  'add-bridge': 'keeper first',
  'set-bridge': 'keeper last',
  'remove-bridge': 'keeper last',
  hold: 'keeper last',
  release: 'keeper last',
  'add-port': 'keeper first',
  'set-port': 'keeper last',
  'remove-port': 'keeper last',
  'list-fdb': 'keeper',
  'add-fdb': 'keeper',
  'remove-fdb': 'keeper',
  'flush-fdb': 'keeper',
  'list-neighbors': 'keeper',
  'table-use': 'keeper',
  'add-neighbor': 'keeper',
  'remove-neighbor': 'keeper',
  'start-capture': 'keeper first',
  'stop-capture': 'keeper last',
  // The gateway lives in the keeper; the others only have to know which frames are for it, and the host's addresses.
  'open-gateway': 'keeper',
  'flows-restored': 'keeper',
  'leave-gateway': 'keeper',
  'set-nat': 'keeper',
  'set-reserved': 'keeper',
  'add-uplink': 'keeper',
  'set-uplink': 'keeper',
  'remove-uplink': 'keeper',
  'set-routes': 'keeper first',
  'set-gateway': 'keeper first',
  'add-publish': 'keeper',
  'remove-publish': 'keeper',
  'set-egress': 'keeper',
  'list-flows': 'keeper',
  'flush-flows': 'keeper',
  'watch-flows': 'keeper',
  'gateway-use': 'keeper',
  stop: 'keeper last',
} as const satisfies Record<CommandName, Scope>;

/** A command as one thread gets it. */
export interface Order<Name extends CommandName = CommandName> {
  thread: number;
  name: Name;
  args: CommandArguments<Name>;
}

/**
 * What the main thread is answered.
 * @param answers by thread
 */
export function answerOf<Name extends CommandName>(name: Name, answers: readonly CommandAnswer<Name>[]): CommandAnswer<Name> {
  if (name !== 'release') return answers[0];
  // Each thread reads its own queue: what the keeper has, another may have been refused.
  const failed = new Map<number, { port: number; errno: number }>();
  for (const each of (answers as CommandAnswer<'release'>[]).flatMap((answer) => answer.failed)) {
    if (!failed.has(each.port)) failed.set(each.port, each);
  }
  return { failed: [...failed.values()] } as CommandAnswer<Name>;
}

/** Turns each command into what the threads are told, one after the other. Allots the memory they share. */
export class Distribution {
  private readonly threads: number;
  private readonly maxPorts: number;
  /** Entries the FDB of a bridge was allotted for. */
  private readonly fdbLimit = new Map<number, number>();

  constructor(threads: number, maxPorts: number) {
    this.threads = threads;
    this.maxPorts = maxPorts;
  }

  /**
   * What is to be told to whom, in this order. The first of `keeper` is the one that answers.
   * @throws RangeError for a port with fewer descriptors than there are threads
   */
  orders<Name extends CommandName>(name: Name, args: CommandArguments<Name>): Order[] {
    if (this.threads === 1) {
      return [{ thread: 0, name, args }];
    }
    switch (name) {
      case 'add-bridge':
        return this.addBridge(args as Commands['add-bridge'][0]);
      case 'set-bridge':
        return this.setBridge(args as Commands['set-bridge'][0]);
      case 'add-port':
        return this.addPort(args as Commands['add-port'][0]);
      case 'set-gateway': {
        // Nobody hands over frames that the keeper does not route yet, or not any more.
        const scope = (args as Commands['set-gateway'][0]).settings === null ? 'keeper last' : SCOPES[name];
        return this.order(scope).map((thread) => ({ thread, name, args }));
      }
      default:
        return this.order(SCOPES[name]).map((thread) => ({ thread, name, args }));
    }
  }

  private addBridge(args: Commands['add-bridge'][0]): Order[] {
    const { fdbLimit } = args.settings;
    const memory = allocateBridge(fdbLimit, this.maxPorts);
    this.fdbLimit.set(args.bridge, fdbLimit);
    return this.order(SCOPES['add-bridge']).map((thread) => ({ thread, name: 'add-bridge', args: { ...args, memory } }));
  }

  /** A larger table is filled by the keeper before anybody uses it; all else, such as "never learn", the keeper does last. */
  private setBridge({ bridge, settings: { fdbLimit, ...settings } }: Commands['set-bridge'][0]): Order[] {
    const orders: Order[] = [];
    if (fdbLimit !== undefined) {
      const grows = fdbLimit > (this.fdbLimit.get(bridge) ?? 0);
      const args = {
        bridge,
        settings: { fdbLimit },
        ...(grows && { memory: SharedFdb.allocate(fdbLimit, this.maxPorts) }),
      };
      if (grows) this.fdbLimit.set(bridge, fdbLimit);
      orders.push(...this.order('keeper first').map((thread) => ({ thread, name: 'set-bridge' as const, args })));
    }
    const args = { bridge, settings };
    orders.push(...this.order(SCOPES['set-bridge']).map((thread) => ({ thread, name: 'set-bridge' as const, args })));
    return orders;
  }

  /** Each thread gets a descriptor of its own. */
  private addPort({ settings, ...rest }: Commands['add-port'][0]): Order[] {
    const { spec } = settings;
    const descriptors = 'descriptor' in spec ? [spec.descriptor, ...(spec.queues ?? [])] : null;
    if (descriptors !== null && descriptors.length < this.threads) {
      throw new RangeError(`engine: port ${rest.port} has ${descriptors.length} queues, ${this.threads} threads need one each`);
    }
    return this.order(SCOPES['add-port']).map((thread) => {
      const own = 'descriptor' in spec ? { ...spec, queues: [], descriptor: descriptors?.[thread] as number } : spec;
      return { thread, name: 'add-port', args: { ...rest, settings: { ...settings, spec: own } } };
    });
  }

  private order(scope: Scope): number[] {
    const others = Array.from({ length: this.threads - 1 }, (_, index) => index + 1);
    return scope === 'keeper' ? [0] : scope === 'keeper first' ? [0, ...others] : [...others, 0];
  }
}
