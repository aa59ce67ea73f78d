/**
 * The engine's thread. Its event loop does not turn while the engine runs, so nothing here is asynchronous: commands are taken from
 * their MessagePort by hand when the eventfd says so, and answers leave by postMessage, which needs no turn.
 */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { NoticeKind } from '../bridge/notices.js';
import { BRIDGE_COUNTERS, Counters, GATEWAY_COUNTERS, LOOP_COUNTERS, PORT_COUNTERS } from '../core/counters.js';
import { loadBinding } from '../native/binding.js';
import type { Port } from '../port/port.js';
import { ReplayPort } from '../port/replay-port.js';
import { Awake, openCores } from './awake.js';
import { burstIoOptions } from './burst-io-options.js';
import { execute } from './commands.js';
import { Engine } from './engine.js';
import type { CommandArguments, CommandName, EngineEvent, ThreadPlace } from './protocol.js';
import { warmUp } from './warm-up.js';

/** What the main thread gives the worker. */
export interface WorkerInput {
  commands: MessagePort;
  maxPorts: number;
  spinMicros: number;
  keepAwake: boolean;
  place: ThreadPlace;
  portCounters: SharedArrayBuffer;
  bridgeCounters: SharedArrayBuffer;
  gatewayCounters: SharedArrayBuffer;
  loopCounters: SharedArrayBuffer;
}

/** A command on its way to the engine. */
export interface Request {
  id: number;
  name: CommandName;
  args: CommandArguments<CommandName>;
}

/** What comes back: an answer, a refusal, an event, or the eventfd when the engine is ready. */
export type Reply =
  | { id: number; answer: unknown }
  | { id: number; refused: string }
  | { id: 0; event: EngineEvent }
  | { id: 0; waker: number };

/** Parts of a table from which on its users are warned, and below which they are told that it is over. */
const PRESSURE = 0.8;
const RELIEF = 0.7;
/** Commands come in rows: for so long behind one the next is waited for before the rehearsal goes on. */
const ROW_MICROS = 5000;

const input = workerData as WorkerInput;
const ioOptions = burstIoOptions(input.maxPorts);
const binding = loadBinding();
const io = new binding.BurstIo(ioOptions);
const engine = new Engine({
  io,
  ioOptions,
  place: input.place,
  spinMicros: input.spinMicros,
  awake: new Awake(input.keepAwake ? openCores() : null),
  wake: (waker) => void binding.wake(waker),
  portCounters: new Counters(PORT_COUNTERS, input.maxPorts, input.portCounters),
  bridgeCounters: new Counters(BRIDGE_COUNTERS, 0, input.bridgeCounters),
  gatewayCounters: new Counters(GATEWAY_COUNTERS, 0, input.gatewayCounters),
  loopCounters: new Counters(LOOP_COUNTERS, 0, input.loopCounters),
  onCaptured: (capture) => tell({ event: 'captured', capture }),
  onTick: () => {
    tellNotices();
    tellEndedReplays();
    tellPressure();
  },
});

function post(reply: Reply): void {
  input.commands.postMessage(reply);
}

function tell(event: EngineEvent): void {
  post({ id: 0, event });
}

/** Since the last pass of the rehearsal. */
let commanded = false;

/** Carries out every waiting command. Returns false when one of them was `stop`. */
function takeCommands(): boolean {
  for (;;) {
    const received = receiveMessageOnPort(input.commands);
    if (received === undefined) {
      return true;
    }
    commanded = true;
    const { id, name, args } = received.message as Request;
    if (name === 'stop') {
      engine.close();
      post({ id, answer: null });
      return false;
    }
    try {
      post({ id, answer: execute(engine, name, args as never) });
    } catch (error) {
      post({ id, refused: error instanceof Error ? error.message : String(error) });
    }
  }
}

function tellFailedPorts(): void {
  for (let index = 0; index < engine.failedPorts; index++) {
    tell({ event: 'port-failed', port: engine.errors[2 * index], errno: engine.errors[2 * index + 1] });
  }
}

/** Once a second: what the bridges noticed. */
function tellNotices(): void {
  for (const bridge of engine.bridges) {
    if (bridge === null || bridge.notices.count === 0) {
      continue;
    }
    const { notices, index } = bridge;
    for (let row = 0; row < notices.count; row++) {
      const mac = { high: notices.macHigh[row], low: notices.macLow[row] };
      const subject = notices.subject[row];
      switch (notices.kind[row]) {
        case NoticeKind.fdbMoved:
          tell({
            event: 'fdb-moved',
            bridge: index,
            mac,
            vlan: subject,
            from: notices.from[row],
            to: notices.to[row],
            times: notices.times[row],
          });
          break;
        case NoticeKind.arpConflict:
          tell({ event: 'arp-conflict', bridge: index, ip: subject, claimed: mac });
          break;
        case NoticeKind.fdbFull:
          tell({ event: 'fdb-full', bridge: index });
          break;
      }
    }
    notices.clear();
  }
}

/** Tables of the gateway that are nearly full, by name. */
const pressed = new Set<string>();

function tellPressure(): void {
  const { gateway } = engine;
  if (gateway === null) {
    return;
  }
  const { conntrack, mappings } = gateway;
  press('flows', 0, conntrack.flows.size, conntrack.flows.limit);
  press('mappings', 0, mappings.size, mappings.limit);
  for (const { address, protocol, taken, size } of mappings.poolUse()) {
    press('pool', address, taken, size, protocol);
  }
}

function press(table: 'flows' | 'mappings' | 'pool', address: number, used: number, size: number, protocol = 0): void {
  const name = `${table} ${address} ${protocol}`;
  const relieved = pressed.has(name);
  if (relieved ? used >= size * RELIEF : used <= size * PRESSURE) {
    return;
  }
  if (relieved) pressed.delete(name);
  else pressed.add(name);
  tell({ event: 'gateway-pressure', table, address, used, size, relieved });
}

/** Replays that have told of their end. */
const ended = new WeakSet<Port>();

function tellEndedReplays(): void {
  if (!engine.isKeeper) {
    return;
  }
  for (let number = 0; number < input.maxPorts; number++) {
    const port = engine.port(number);
    if (port instanceof ReplayPort && port.ended && !ended.has(port)) {
      ended.add(port);
      tell({ event: 'replay-ended', port: number });
    }
  }
}

post({ id: 0, waker: io.waker });
const rehearsal = warmUp(input.place.count > 1, input.place.index === 0);
let rehearsed = false;
for (let running = true; running; ) {
  const handled = engine.step(rehearsed ? -1 : commanded ? ROW_MICROS : 0);
  if (engine.failedPorts > 0) {
    tellFailedPorts();
  }
  if (engine.woken) {
    running = takeCommands();
  } else if (!rehearsed && handled === 0) {
    rehearsed = rehearsal.next().done === true;
    commanded = false;
  }
}
input.commands.close();
