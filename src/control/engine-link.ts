/** What the control plane needs of the engine's thread (engine/engine-thread), so that tests can stand in for it. */
import type { BridgeCounters, PortCounters } from '../core/counters.js';
import type { CommandAnswer, CommandArguments, CommandName, EngineEvent } from '../engine/protocol.js';

export interface EngineLink {
  call<Name extends CommandName>(name: Name, args: CommandArguments<Name>): Promise<CommandAnswer<Name>>;
  onEvent(listener: (event: EngineEvent) => void): void;
  readonly portCounters: PortCounters;
  readonly bridgeCounters: BridgeCounters;
}
