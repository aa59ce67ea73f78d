/**
 * The state directory: what must be known after a crash.
 *
 *     DIR/daemon.lock            who runs on it (state-lock)
 *     DIR/state.json             bridges, ports, changes made to the host
 *     DIR/state.json.broken-N    a record that could not be read, set aside
 *
 * The record is written whole to a file beside it, synced, and renamed over the old one: a reader finds the old or the new one, never a half.
 * It is written after each change that was carried out, except for changes to the host, which are recorded before. A daemon that ends in order
 * leaves an empty record, or nothing at all when the directory was made for it.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ControlError } from './control-error.js';
import { type Log, reasonOf } from './log.js';
import { makeDirectories, removeDirectories } from './made-directories.js';
import { CONTAINER_ENGINES, NETWORK_ENGINES } from './model.js';
import { flagShape } from './shapes.js';
import { StateLock } from './state-lock.js';

/**
 * Rises when older records can no longer be read. A field that is added gets a default here instead, which says what was before there was the field;
 * a record with fields that are unknown here was written by a newer version, and is set aside.
 */
const VERSION = 1;

const macText = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
const flags = z.strictObject({ ...flagShape, sourceGuard: z.boolean().default(true) });
/** Of records before it was written: any. */
const number = z.int().min(-1).default(-1);
const rate = z.strictObject({ bitsPerSecond: z.number(), burstBytes: z.number() }).nullable();
const label = { id: z.string(), name: z.string().nullable() };
const faults = z.strictObject({
  seed: z.number(),
  loss: z.number(),
  duplicate: z.number(),
  reorder: z.number(),
  corrupt: z.number(),
  delayMicros: z.number(),
  jitterMicros: z.number(),
});
const port = z.strictObject({
  name: z.string(),
  netns: z.string().nullable(),
  pid: z.number().nullable(),
  identity: z.string().nullable(),
  iface: z.string().nullable(),
  ifname: z.string().nullable(),
  capture: z.strictObject({ path: z.string(), format: z.enum(['pcap', 'pcapng']) }).nullable(),
  replay: z.strictObject({ path: z.string(), speed: z.number(), loop: z.boolean() }).nullable(),
  mac: macText.nullable(),
  ip: z.string().nullable(),
  mtu: z.number(),
  flags,
  macLimit: z.number(),
  faults: faults.nullable(),
  egressAddress: z.string().nullable().default(null),
  /** The engine's: flows on disk refer to it. */
  number,
  container: z
    .strictObject({ engine: z.enum(CONTAINER_ENGINES), ...label })
    .nullable()
    .default(null),
  lent: z.boolean().default(false),
  rates: z.strictObject({ in: rate, out: rate }).default({ in: null, out: null }),
});
const rule = z.strictObject({
  action: z.enum(['allow', 'deny']),
  direction: z.enum(['in', 'out', 'both']).optional(),
  protocol: z.string().optional(),
  remote: z.string().optional(),
  ports: z.string().optional(),
  port: z.string().optional(),
});
const publish = z.strictObject({
  protocol: z.enum(['tcp', 'udp']),
  hostAddress: z.string().nullable(),
  hostPort: z.number(),
  hostPortEnd: z.number(),
  port: z.number(),
  portName: z.string(),
});
const bridge = z.strictObject({
  name: z.string(),
  mtu: z.number(),
  mac: macText,
  subnet: z.string().nullable(),
  gateway: z.string().nullable(),
  ageingSeconds: z.number(),
  fdbLimit: z.number(),
  arpProxy: z.boolean(),
  groupForwardMask: z.number(),
  uplink: z.string().default('none'),
  internal: z.boolean().default(false),
  icc: z.boolean().default(true),
  egressAddress: z.string().nullable().default(null),
  mssClamp: z.enum(['auto', 'on', 'off']).default('auto'),
  rules: z.array(rule).default([]),
  publishes: z.array(publish).default([]),
  ports: z.array(port),
  fdb: z.array(z.strictObject({ mac: macText, vlan: z.number(), port: z.string() })),
  neighbors: z.array(z.strictObject({ ip: z.string(), mac: macText })),
  number,
  network: z
    .strictObject({ engine: z.enum(NETWORK_ENGINES), ...label })
    .nullable()
    .default(null),
});
const change = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('link-up'), interface: z.string() }),
  z.strictObject({ kind: z.literal('arp-ignore'), interface: z.string(), was: z.string() }),
  z.strictObject({ kind: z.literal('classifier'), interface: z.string(), priority: z.number(), clsact: z.boolean() }),
]);
const state = z.strictObject({ version: z.literal(VERSION), bridges: z.array(bridge), changes: z.array(change) });

export type SavedPublish = z.infer<typeof publish>;
export type SavedPort = z.infer<typeof port>;
export type SavedBridge = z.infer<typeof bridge>;
export type SavedState = z.infer<typeof state>;

export class StateStore {
  readonly directory: string;
  private readonly path: string;
  private readonly lock: StateLock;
  private readonly made: string[];
  private last = '';

  private constructor(directory: string, lock: StateLock, made: string[]) {
    this.directory = directory;
    this.path = join(directory, 'state.json');
    this.lock = lock;
    this.made = made;
  }

  /** Makes the directory if needed (mode 0700) and takes its lock. @throws ControlError */
  static open(directory: string): StateStore {
    let made: string[];
    try {
      made = makeDirectories(directory, 0o700);
    } catch (error) {
      throw new ControlError(
        'failed',
        `cannot make the state directory ${directory}: ${reasonOf(error)}`,
        'choose one with --state',
      );
    }
    if (!statSync(directory).isDirectory()) {
      throw new ControlError('invalid', `${directory} is not a directory`, 'choose another one with --state');
    }
    return new StateStore(directory, StateLock.take(directory), made);
  }

  /** What the daemon before this one left. One that cannot be understood is set aside, with a warning that says where. */
  load(log: Log): SavedState {
    const empty: SavedState = { version: VERSION, bridges: [], changes: [] };
    if (!existsSync(this.path)) return empty;
    try {
      return state.parse(JSON.parse(readFileSync(this.path, 'utf8')));
    } catch (error) {
      const aside = this.setAside();
      const reason = error instanceof z.ZodError ? z.prettifyError(error).replace(/\s+/g, ' ') : reasonOf(error);
      log.warn(
        { reason, aside },
        `the record of the last run is damaged or of a newer version: set aside as ${aside}, starting empty`,
      );
      return empty;
    }
  }

  save(bridges: SavedBridge[], changes: SavedState['changes']): void {
    const text = textOf(bridges, changes);
    if (text === this.last) return;
    const temporary = `${this.path}.tmp`;
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, this.path);
    this.last = text;
  }

  /** Gives the lock back. A directory that was made here goes again when nothing is left to remember, as if nobody had been here. */
  close(): void {
    if (this.made.length > 0 && this.last === textOf([], [])) rmSync(this.path, { force: true });
    this.lock.release();
    removeDirectories(this.made);
  }

  private setAside(): string {
    for (let number = 1; ; number++) {
      const aside = `${this.path}.broken-${number}`;
      if (!existsSync(aside)) {
        renameSync(this.path, aside);
        return aside;
      }
    }
  }
}

function textOf(bridges: SavedBridge[], changes: SavedState['changes']): string {
  return `${JSON.stringify({ version: VERSION, bridges, changes } satisfies SavedState, null, 1)}\n`;
}
