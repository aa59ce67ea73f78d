/** An engine that does nothing but remember what it was told. */
import type { EngineLink } from '../../src/control/engine-link.js';
import { BRIDGE_COUNTERS, Counters, GATEWAY_COUNTERS, LOOP_COUNTERS, PORT_COUNTERS } from '../../src/core/counters.js';
import type { CommandAnswer, CommandArguments, CommandName, EngineEvent } from '../../src/engine/protocol.js';

type Call = { [Name in CommandName]: { name: Name; args: CommandArguments<Name> } }[CommandName];

export class FakeEngine implements EngineLink {
  readonly portCounters = new Counters(PORT_COUNTERS, 64);
  readonly bridgeCounters = new Counters(BRIDGE_COUNTERS, 256);
  readonly gatewayCounters = new Counters(GATEWAY_COUNTERS, 272);
  readonly loop = new Counters(LOOP_COUNTERS, 1);
  readonly calls: Call[] = [];
  /** Answers other than null. */
  readonly answers: { [Name in CommandName]?: (args: CommandArguments<Name>) => CommandAnswer<Name> } = {
    'open-gateway': () => ({ flows: 0 }),
    'flows-restored': () => ({ ended: 0 }),
    release: () => ({ failed: [] }),
  };
  /** Commands that are refused, with the reason. */
  readonly refusals: { [Name in CommandName]?: string } = {};
  private listener: (event: EngineEvent) => void = () => {};

  async call<Name extends CommandName>(name: Name, args: CommandArguments<Name>): Promise<CommandAnswer<Name>> {
    const refusal = this.refusals[name];
    if (refusal !== undefined) throw new Error(refusal);
    this.calls.push({ name, args } as unknown as Call);
    return (this.answers[name]?.(args as never) ?? null) as CommandAnswer<Name>;
  }

  onEvent(listener: (event: EngineEvent) => void): void {
    this.listener = listener;
  }

  tell(event: EngineEvent): void {
    this.listener(event);
  }

  /** What commands of this name said, in order. */
  said<Name extends CommandName>(name: Name): CommandArguments<Name>[] {
    return this.calls.filter((call) => call.name === name).map(({ args }) => args as CommandArguments<Name>);
  }

  last<Name extends CommandName>(name: Name): CommandArguments<Name> | undefined {
    return this.said(name).at(-1);
  }
}
