/**
 * What there is to measure of a running daemon, at one moment: for /metrics and /healthz.
 *
 *     counters (shared memory) ─────────────┐
 *     interfaces (one look by netlink) ─────┼─▶ Telemetry
 *     engine: tables in use (two commands) ─┘   absent when it does not answer within 2 s
 *
 * Counters are read without the engine, so that one that hangs is seen as such. Questions to it are not piled up: while one is unanswered, whoever asks
 * waits for the same answer, or gives up. A look takes about a millisecond for 50 ports.
 */
import type { BridgeCounter, GatewayCounter, InterfaceDrop, LoopCounter, PortCounter } from '../core/counters.js';
import type { TableUse } from '../engine/protocol.js';
import type { ControlContext } from './context.js';
import { lookAtInterfaces } from './interface-status.js';
import type { BridgeInfo, GatewayInfo, PortInfo, UplinkInfo } from './model.js';
import { bridgeInfo, portInfo, queueDropsOf } from './records.js';

export interface PortTelemetry {
  info: PortInfo;
  counters: Record<PortCounter | InterfaceDrop, number>;
}

export interface BridgeTelemetry {
  info: BridgeInfo;
  counters: Record<BridgeCounter, number>;
  /** What its gateway counts. */
  gateway: Record<GatewayCounter, number>;
  /** null: the engine does not answer. */
  use: Pick<TableUse, 'fdb' | 'neighbors'> | null;
  publishes: number;
  /** Of these with a listener: those without are taken by somebody else on the host. */
  listening: number;
  ports: PortTelemetry[];
}

export interface Telemetry {
  bridges: BridgeTelemetry[];
  uplinks: UplinkInfo[];
  /** null: the engine does not answer. */
  gateway: GatewayInfo | null;
  /** One for each engine thread; empty where they are not counted. */
  loops: Record<LoopCounter, number>[];
  /** CLOCK_MONOTONIC in microseconds, as `turned_micros` of a loop. */
  now: number;
}

/** What only the engine knows. */
export interface EngineAnswer {
  tables: TableUse[];
  gateway: GatewayInfo;
}

export const ANSWER_MILLIS = 2000;

export class TelemetryReader {
  private readonly context: ControlContext;
  private asked: Promise<EngineAnswer> | null = null;

  constructor(context: ControlContext) {
    this.context = context;
  }

  async read(): Promise<Telemetry> {
    const { context } = this;
    const answer = await this.ask();
    const { engine } = context;
    const bridges = [...context.bridges.values()];
    lookAtInterfaces(
      context,
      bridges.flatMap((bridge) => [bridge.host, ...bridge.ports.values()]),
    );
    return {
      bridges: bridges.map((bridge) => ({
        info: bridgeInfo(bridge),
        counters: engine.bridgeCounters.snapshot(bridge.number),
        gateway: engine.gatewayCounters.snapshot(bridge.number),
        // A bridge that was made after the engine answered has learned nothing yet.
        use: answer === null ? null : (answer.tables.find((each) => each.bridge === bridge.number) ?? { fdb: 0, neighbors: 0 }),
        publishes: bridge.publishes.length,
        listening: bridge.publishes.filter(({ listener }) => listener !== null).length,
        ports: [bridge.host, ...bridge.ports.values()].map((port) => ({
          info: portInfo(bridge, port, engine.portCounters),
          counters: { ...engine.portCounters.snapshot(port.number), queue_drops: queueDropsOf(port) },
        })),
      })),
      uplinks: context.gateway.listUplinks(),
      gateway: answer?.gateway ?? null,
      loops: this.loops(),
      now: context.binding.monotonicMicros(),
    };
  }

  /** A question to the engine and its answer; null when there is none in time. */
  async ask(): Promise<EngineAnswer | null> {
    this.asked ??= this.question();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), ANSWER_MILLIS);
    });
    try {
      return await Promise.race([this.asked, late]);
    } catch {
      // The engine died: the daemon ends by itself.
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  loops(): Record<LoopCounter, number>[] {
    const { loop, threads = 1 } = this.context.engine;
    return loop === undefined ? [] : Array.from({ length: threads }, (_, thread) => loop.snapshot(thread));
  }

  private async question(): Promise<EngineAnswer> {
    try {
      const [tables, gateway] = await Promise.all([this.context.engine.call('table-use', {}), this.context.gateway.info()]);
      return { tables, gateway };
    } finally {
      this.asked = null;
    }
  }
}
