/** What the control plane needs of the engine's threads (engine/engine-group), so that tests can stand in for them. */
import type { BridgeCounter, CounterView, GatewayCounter, LoopCounter, PortCounter } from '../core/counters.js';
import type { CommandAnswer, CommandArguments, CommandName, EngineEvent } from '../engine/protocol.js';

export interface EngineLink {
  call<Name extends CommandName>(name: Name, args: CommandArguments<Name>): Promise<CommandAnswer<Name>>;
  onEvent(listener: (event: EngineEvent) => void): void;
  readonly portCounters: CounterView<PortCounter>;
  readonly bridgeCounters: CounterView<BridgeCounter>;
  /** Rows by zone: bridges by number, behind them (from MAX_BRIDGES on) the uplinks. */
  readonly gatewayCounters: CounterView<GatewayCounter>;
  /** Of their loops, a row for each thread. */
  readonly loop: CounterView<LoopCounter>;
  /** False when a thread has died: no call is answered any more. Default true. */
  readonly alive?: boolean;
  /** How many there are: a port needs a descriptor for each. Default 1. */
  readonly threads?: number;
}
