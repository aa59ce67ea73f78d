/**
 * Whether the daemon does its work: checks a person or a supervisor asks for, each with what is wrong in one sentence.
 *
 *     fail   the daemon cannot do what it is for: to be restarted, or its host mended
 *     warn   it works, but not all of what was asked of it is there (an uplink that is down, a published port somebody else has)
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ControlContext } from './context.js';
import { reasonOf } from './log.js';
import { HEALTH_STATES, type HealthCheck, type HealthState } from './model.js';
import { ANSWER_MILLIS, type TelemetryReader } from './telemetry.js';

/** A part that can say whether it works. */
export interface HealthSource {
  look(): HealthCheck | Promise<HealthCheck>;
}

/** A loop turns at least once a second, without traffic too. */
const TURN_MICROS = 2_000_000;
const PROBE = '.writable';

export async function checkHealth(context: ControlContext, telemetry: TelemetryReader): Promise<HealthCheck[]> {
  return [await engineCheck(context, telemetry), stateCheck(context), gatewayCheck(context)];
}

/** The worst of them. */
export function worstOf(checks: readonly HealthCheck[]): HealthState {
  return HEALTH_STATES[Math.max(0, ...checks.map(({ status }) => HEALTH_STATES.indexOf(status)))];
}

/** Asked, it answers; and each of its threads has turned lately. */
async function engineCheck({ binding }: ControlContext, telemetry: TelemetryReader): Promise<HealthCheck> {
  const name = 'engine';
  if ((await telemetry.ask()) === null) {
    return { name, status: 'fail', message: `the engine does not answer within ${ANSWER_MILLIS / 1000} s` };
  }
  const loops = telemetry.loops();
  const now = binding.monotonicMicros();
  const stuck = loops.findIndex(({ turned_micros: turned }) => now - turned > TURN_MICROS);
  if (stuck >= 0) {
    const seconds = ((now - loops[stuck].turned_micros) / 1e6).toFixed(1);
    return { name, status: 'fail', message: `engine thread ${stuck} has not turned for ${seconds} s` };
  }
  return { name, status: 'ok', message: 'it turns' };
}

/** By writing, since a full or read-only file system refuses nothing before. */
function stateCheck({ store }: ControlContext): HealthCheck {
  const name = 'state';
  if (store === null) return { name, status: 'ok', message: 'nothing is kept on disk' };
  const probe = join(store.directory, PROBE);
  try {
    writeFileSync(probe, '\n', { mode: 0o600 });
    rmSync(probe);
    return { name, status: 'ok', message: `${store.directory} can be written` };
  } catch (error) {
    return { name, status: 'fail', message: `changes cannot be recorded: ${reasonOf(error)}` };
  }
}

function gatewayCheck({ gateway, bridges }: ControlContext): HealthCheck {
  const name = 'gateway';
  const idle = [...bridges.values()].flatMap(({ publishes }) => publishes.filter(({ listener }) => listener === null));
  const message =
    gateway.trouble() ?? (idle.length === 0 ? null : `${idle.length} published ports are taken by others on the host`);
  return message === null
    ? { name, status: 'ok', message: gateway.isOpen ? 'open' : 'not needed' }
    : { name, status: 'warn', message };
}
