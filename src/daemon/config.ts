/** The configuration file: YAML, the same names as the command line's options, and bridges to make at start. */
import { z } from '@hono/zod-openapi';
import { ControlError } from '../control/control-error.js';
import { GUARD_SETTINGS } from '../control/guard.js';
import { reasonOf } from '../control/log.js';
import { ON_STOP } from '../control/on-stop.js';
import { readOwned } from '../control/ownership.js';
import { MAX_THREADS } from '../engine/protocol.js';
import { KEEP_AWAKE } from './keep-awake.js';
import { LOG_LEVELS } from './log.js';
import { problemOf } from './problem.js';
import { AttachPort, CreateBridge } from './schemas.js';
import { AddPublish } from './schemas-gateway.js';

const MAX_BYTES = 1 << 20;

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

export const Config = z.strictObject({
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
  bridges: z
    .array(CreateBridge.extend({ ports: z.array(AttachPort).optional(), publishes: z.array(AddPublish).optional() }))
    .optional(),
});
export type Config = z.infer<typeof Config>;

/**
 * @param insecure whoever wrote it
 * @throws ControlError that names the file and the line or key
 */
export async function loadConfig(path: string, insecure = false): Promise<Config> {
  let text: string;
  try {
    text = readOwned(path, MAX_BYTES, insecure);
  } catch (error) {
    if (!(error instanceof ControlError)) {
      throw new ControlError('not-found', `cannot read the configuration: ${reasonOf(error)}`, 'name another file with --config');
    }
    const hint = error.code === 'forbidden' ? `${error.hint} mends it; --insecure-config takes it as it is` : 'name another one';
    throw new ControlError(error.code, `the configuration is refused: ${error.message}`, hint);
  }
  return parseConfig(text, path);
}

export async function parseConfig(text: string, path: string): Promise<Config> {
  if (text.length > MAX_BYTES) throw new ControlError('invalid', `${path}: a configuration has at most ${MAX_BYTES} bytes`);
  const { parse } = await import('yaml');
  let value: unknown;
  try {
    value = parse(text) ?? {};
  } catch (error) {
    throw new ControlError('invalid', `${path}: ${reasonOf(error).split('\n')[0]}`, 'correct the file');
  }
  const result = Config.safeParse(value);
  if (result.success) return result.data;
  throw new ControlError('invalid', `${path}: ${problemOf(result.error)}`, 'correct the file');
}
