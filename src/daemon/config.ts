/** The configuration file: YAML, the same names as the command line's options, and bridges to make at start. */
import { z } from 'zod';
import { ControlError } from '../control/control-error.js';
import { GUARD_SETTINGS } from '../control/guard.js';
import { ON_STOP } from '../control/on-stop.js';
import { MAX_THREADS } from '../engine/protocol.js';
import type { ConfigWithBridges } from './config-bridges.js';
import { parseYaml, readConfig } from './config-file.js';
import { KEEP_AWAKE } from './keep-awake.js';
import { LOG_LEVELS } from './log.js';
import { problemOf } from './problem.js';

/** What holds for the gateways of all bridges; src/control/nat-options.ts has the defaults and checks the values. */
const Nat = z.strictObject({
  flowLimit: z.int().optional(),
  flowShare: z.number().optional(),
  filter: z.enum(['apdf', 'adf', 'eif']).optional(),
  ranges: z.array(z.tuple([z.int(), z.int()])).optional(),
  profile: z.enum(['rfc', 'kernel']).optional(),
  timeouts: z.record(z.string(), z.int()).optional(),
  loose: z.boolean().optional(),
  liberal: z.boolean().optional(),
  guard: z.enum(GUARD_SETTINGS).optional(),
});

const DockerSettings = z.strictObject({
  name: z.string().optional(),
  /** Socket of Docker's API, which is asked for names. */
  api: z.string().optional(),
  /** Subnets of this size in `base`, for networks whose users choose none. */
  pools: z
    .array(z.strictObject({ base: z.string(), size: z.int().min(8).max(30) }))
    .min(1)
    .max(64)
    .optional(),
});

/** All but the bridges, whose schemas are the API's: a daemon without them in its configuration forwards before it has loaded those. */
export const Settings = z.strictObject({
  socket: z.string().optional(),
  state: z.string().optional(),
  group: z.string().optional(),
  logLevel: z.enum(LOG_LEVELS).optional(),
  threads: z.int().min(1).max(MAX_THREADS).optional(),
  keepAwake: z.enum(KEEP_AWAKE).optional(),
  /** Serve Docker's drivers: true, the driver's name, or more of it. */
  docker: z.union([z.boolean(), z.string(), DockerSettings]).optional(),
  /** Address and port of a listener for /metrics and /healthz. */
  metrics: z.string().optional(),
  onStop: z.enum(ON_STOP).optional(),
  nat: Nat.optional(),
});
export type Config = ConfigWithBridges;

/**
 * @param insecure whoever wrote it
 * @throws ControlError that names the file and the line or key
 */
export async function loadConfig(path: string, insecure = false): Promise<Config> {
  return check(await readConfig(path, insecure), path);
}

/** @throws ControlError that names the file and the line or key */
export async function parseConfig(text: string, path: string): Promise<Config> {
  return check(await parseYaml(text, path), path);
}

async function check(value: unknown, path: string): Promise<Config> {
  const hasBridges = typeof value === 'object' && value !== null && 'bridges' in value;
  const schema = hasBridges ? (await import('./config-bridges.js')).ConfigWithBridges : Settings;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ControlError('invalid', `${path}: ${problemOf(result.error)}`, 'correct the file');
}
