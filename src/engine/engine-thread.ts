/** The engine as the main thread sees it: a worker to start, commands to send, events to hear, counters to read. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import {
  BRIDGE_COUNTERS,
  type BridgeCounters,
  Counters,
  GATEWAY_COUNTERS,
  type GatewayCounters,
  LOOP_COUNTERS,
  type LoopCounters,
  PORT_COUNTERS,
  type PortCounters,
} from '../core/counters.js';
import { FIRST_UPLINK, UPLINK_COUNT } from '../gateway/zones.js';
import type { Binding } from '../native/binding.js';
import {
  type CommandAnswer,
  type CommandArguments,
  type CommandName,
  DEFAULT_MAX_PORTS,
  type EngineEvent,
  MAX_BRIDGES,
  type ThreadPlace,
} from './protocol.js';
import type { Reply, Request, WorkerInput } from './worker.js';

export interface EngineThreadOptions {
  /** Port numbers run from 0 to maxPorts - 1; default 1024. */
  maxPorts?: number;
  /** Microseconds of polling after traffic before the engine sleeps; default 50. */
  spinMicros?: number;
  /** Whether idle cores are kept awake while there is traffic (awake.ts); default: no. */
  keepAwake?: boolean;
  /** Which of several threads this is; default: the only one. */
  place?: ThreadPlace;
  /** A row for each of several threads; default: a row of its own. */
  loop?: LoopCounters;
}

interface Pending {
  resolve: (answer: never) => void;
  reject: (reason: Error) => void;
}

const YOUNG_GENERATION_MB = 2;

export class EngineThread {
  readonly portCounters: PortCounters;
  readonly bridgeCounters: BridgeCounters;
  readonly gatewayCounters: GatewayCounters;
  readonly loop: LoopCounters;
  /** Resolves when the engine died without being asked to. */
  readonly failed: Promise<Error>;
  private readonly binding: Binding;
  private readonly worker: Worker;
  private readonly commands: MessagePort;
  private readonly pending = new Map<number, Pending>();
  private readonly listeners: ((event: EngineEvent) => void)[] = [];
  private waker = -1;
  private lastId = 0;
  private stopping = false;

  private constructor(binding: Binding, options: EngineThreadOptions, ready: () => void) {
    const maxPorts = options.maxPorts ?? DEFAULT_MAX_PORTS;
    this.binding = binding;
    this.portCounters = new Counters(PORT_COUNTERS, maxPorts);
    this.bridgeCounters = new Counters(BRIDGE_COUNTERS, MAX_BRIDGES);
    this.gatewayCounters = new Counters(GATEWAY_COUNTERS, FIRST_UPLINK + UPLINK_COUNT);
    this.loop = options.loop ?? new Counters(LOOP_COUNTERS, 1);
    const { port1, port2 } = new MessageChannel();
    this.commands = port1;
    this.commands.on('message', (reply: Reply) => this.receive(reply, ready));
    const input: WorkerInput = {
      commands: port2,
      maxPorts,
      spinMicros: options.spinMicros ?? 50,
      keepAwake: options.keepAwake ?? false,
      place: options.place ?? { index: 0, count: 1 },
      portCounters: this.portCounters.memory,
      bridgeCounters: this.bridgeCounters.memory,
      gatewayCounters: this.gatewayCounters.memory,
      loopCounters: this.loop.memory,
    };
    this.worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: input,
      transferList: [port2],
      name: 'engine',
      // Frames allocate nothing: what only the rehearsal would make the young generation grow to stays resident (7 to 10 MB a thread, measured).
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.failed = new Promise((resolve) => {
      this.worker.on('error', (error) => resolve(error instanceof Error ? error : new Error(String(error))));
      this.worker.on('exit', (status) => {
        if (!this.stopping) {
          resolve(new Error(`the engine thread ended by itself with status ${status}`));
        }
      });
    });
    void this.failed.then((error) => this.rejectAll(error));
  }

  /** Starts the worker. @throws Error when it cannot load the addon or get its memory */
  static async start(binding: Binding, options: EngineThreadOptions = {}): Promise<EngineThread> {
    let ready = () => {};
    const started = new Promise<void>((resolve) => {
      ready = resolve;
    });
    const thread = new EngineThread(binding, options, () => ready());
    const failure = await Promise.race([started.then(() => null), thread.failed]);
    if (failure !== null) {
      thread.commands.close();
      throw failure;
    }
    return thread;
  }

  /** False from before the calls under way are rejected. */
  get alive(): boolean {
    return this.waker >= 0;
  }

  /** @throws Error with the engine's reason when it refuses */
  call<Name extends CommandName>(name: Name, args: CommandArguments<Name>): Promise<CommandAnswer<Name>> {
    if (this.waker < 0) {
      return Promise.reject(new Error(`the engine is not running: cannot ${name}`));
    }
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      const request: Request = { id, name, args };
      this.commands.postMessage(request);
      this.binding.wake(this.waker);
    });
  }

  onEvent(listener: (event: EngineEvent) => void): void {
    this.listeners.push(listener);
  }

  /** Ends the engine after its current pass; its descriptors are closed, ports and bridges forgotten. */
  async stop(): Promise<void> {
    if (this.waker < 0) {
      return;
    }
    this.stopping = true;
    const ended = new Promise<void>((resolve) => this.worker.once('exit', () => resolve()));
    await this.call('stop', {});
    this.waker = -1;
    await ended;
    // Who asked something meanwhile is not left waiting.
    this.rejectAll(new Error('the engine was stopped'));
  }

  /** Ends the worker whatever it does, without an answer: for when another thread of the same tables has died. */
  abandon(): void {
    this.stopping = true;
    void this.worker.terminate();
    if (this.waker >= 0) {
      // Asleep in the kernel it does not see that it is to end.
      this.binding.wake(this.waker);
      this.rejectAll(new Error('another engine thread died'));
    }
  }

  private receive(reply: Reply, ready: () => void): void {
    if (reply.id !== 0) {
      const pending = this.pending.get(reply.id);
      this.pending.delete(reply.id);
      if ('refused' in reply) {
        pending?.reject(new Error(reply.refused));
      } else {
        pending?.resolve((reply as { answer: unknown }).answer as never);
      }
    } else if ('waker' in reply) {
      this.waker = reply.waker;
      ready();
    } else if ('event' in reply) {
      for (const listener of this.listeners) {
        listener(reply.event);
      }
    }
  }

  private rejectAll(error: Error): void {
    this.waker = -1;
    for (const { reject } of this.pending.values()) {
      reject(error);
    }
    this.pending.clear();
    this.commands.close();
  }
}
