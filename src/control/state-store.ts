/**
 * The state directory: what must be known after a crash.
 *
 *     DIR/daemon.lock            who runs on it (state-lock)
 *     DIR/instance               what the aliases of its interfaces begin with (interface-alias): 8 hexadecimal digits, chosen once
 *     DIR/state.json             bridges, ports, changes made to the host (record-file)
 *
 * The record is written after each change that was carried out, except for changes to the host, which are recorded before. An interface outlives the
 * process only while the record has its port: it is made to after that was written, and no longer is before the port goes. A daemon that removes
 * everything at its end leaves an empty record, or nothing at all when the directory was made for it.
 */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ControlError } from './control-error.js';
import { isInstance, newInstance } from './interface-alias.js';
import { type Log, reasonOf } from './log.js';
import { makeDirectories, removeDirectories } from './made-directories.js';
import { CONTAINER_ENGINES, NETWORK_ENGINES, RESERVATIONS } from './model.js';
import { checkOwnDirectory } from './ownership.js';
import { RecordFile } from './record-file.js';
import { flagShape } from './shapes.js';
import { StateLock } from './state-lock.js';

const VERSION = 1;
const INSTANCE = 'instance';

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
  addresses: z.array(z.string()).default([]),
  routes: z
    .array(z.strictObject({ destination: z.string(), gateway: z.string().optional() }))
    .nullable()
    .default(null),
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
  reservation: z.enum(RESERVATIONS).default('daemon'),
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
  /** Of its host port. */
  hostNumber: number,
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
/** The engine's numbers of uplinks: flows on disk refer to them. */
const uplink = z.strictObject({ interface: z.string(), number: z.int().min(0) });
const state = z.strictObject({
  version: z.literal(VERSION),
  bridges: z.array(bridge),
  changes: z.array(change),
  uplinks: z.array(uplink).default([]),
});

export type SavedPublish = z.infer<typeof publish>;
export type SavedPort = z.infer<typeof port>;
export type SavedUplink = z.infer<typeof uplink>;
export type SavedBridge = z.infer<typeof bridge>;
export type SavedState = z.infer<typeof state>;

export class StateStore {
  readonly directory: string;
  /** What the aliases of the interfaces made under it begin with. */
  readonly instance: string;
  private readonly file: RecordFile<SavedState>;
  private readonly lock: StateLock;
  private readonly made: string[];
  /** The daemon before this one left something. */
  inherited = false;
  private empty = true;

  private constructor(directory: string, lock: StateLock, made: string[]) {
    this.directory = directory;
    this.file = new RecordFile(join(directory, 'state.json'), { schema: state, version: VERSION });
    this.lock = lock;
    this.made = made;
    this.instance = instanceOf(directory);
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
    try {
      checkOwnDirectory(directory);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      throw new ControlError(error.code, `the state directory is refused: ${error.message}`, `${error.hint} mends it`, error);
    }
    const lock = StateLock.take(directory);
    try {
      return new StateStore(directory, lock, made);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** What the daemon before this one left. One that cannot be understood is set aside, with a warning that says where. @throws ControlError */
  load(log: Log): SavedState {
    const saved = this.file.load(log) ?? { version: VERSION, bridges: [], changes: [], uplinks: [] };
    this.empty = isEmpty(saved);
    this.inherited = !this.empty;
    return saved;
  }

  save(bridges: SavedBridge[], changes: SavedState['changes'], uplinks: SavedUplink[] = []): void {
    const saved: SavedState = { version: VERSION, bridges, changes, uplinks };
    this.file.save(saved);
    this.empty = isEmpty(saved);
  }

  /** Gives the lock back. A directory that was made here goes again when nothing is left to remember, as if nobody had been here. */
  close(): void {
    if (this.made.length > 0 && this.empty) this.file.remove();
    this.lock.release();
    // Others may remember something here, too: their interfaces have the same alias.
    if (this.made.length > 0 && readdirSync(this.directory).join() === INSTANCE) rmSync(join(this.directory, INSTANCE));
    removeDirectories(this.made);
  }
}

function isEmpty({ bridges, changes }: SavedState): boolean {
  return bridges.length + changes.length === 0;
}

function instanceOf(directory: string): string {
  const path = join(directory, INSTANCE);
  const before = existsSync(path) ? readFileSync(path, 'latin1').trim() : '';
  if (isInstance(before)) return before;
  const instance = newInstance();
  rmSync(path, { force: true });
  writeFileSync(path, `${instance}\n`, { flag: 'wx', mode: 0o600 });
  return instance;
}
