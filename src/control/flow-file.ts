/**
 * The file the flows live in, so that they outlive the daemon: beside its socket, `<socket without .sock>.flows`.
 *
 *     0           4096
 *     +-----------+------------------------------------------+
 *     | header    | rows (conntrack/flow-layout.ts) ...       |      as long as the limit of flows asks for, all of it reserved
 *     +-----------+------------------------------------------+
 *      JSON, filled up with zeros
 *
 * The engine maps it and works in it; nobody copies anything, and a daemon that is killed at any instant leaves what stood there (conntrack/flow-table.ts says
 * how rows are told from halves of rows). It belongs on a tmpfs: its pages are then plain memory, never written back. A reboot ends all connections and
 * takes the file along.
 *
 * The header says what the rows mean: which layout they have, how many there are, in which boot their seconds count, and which state directory
 * (`instance`) knows the numbers of bridges, ports and uplinks in them. With another header the rows mean something else: the daemon begins a new file, and
 * says that connections through NAT end. A file is never changed in length, because who has mapped it would die of that: a new one is made beside it and
 * renamed over it.
 *
 * Refused is what is not a plain file of ours that nobody else may read or write: the daemon then runs without one and leaves it alone.
 *
 * Limits: 136 bytes for each flow, 34 MiB at the default limit, taken from the file system at once: a page that cannot be had later would be the end of the process.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { z } from 'zod';
import {
  COLD,
  COLD_WORDS,
  DirectionFlag,
  FLOW,
  FLOW_SHIFT,
  ROWS_VERSION,
  Status,
  UPLINK_ZONE,
} from '../conntrack/flow-layout.js';
import { FlowTable } from '../conntrack/flow-table.js';
import { TCP_STATES } from '../conntrack/tcp-states.js';
import { TIMEOUT_CLASSES } from '../conntrack/timeouts.js';
import { type Log, reasonOf } from './log.js';

const HEADER_BYTES = 4096;
const PRIVATE = 0o077;

/** What the rows of two daemons must agree about. */
const LAYOUT = createHash('sha256')
  .update(
    JSON.stringify([
      ROWS_VERSION,
      FLOW,
      FLOW_SHIFT,
      COLD,
      COLD_WORDS,
      Status,
      DirectionFlag,
      UPLINK_ZONE,
      TIMEOUT_CLASSES,
      TCP_STATES,
    ]),
  )
  .digest('hex')
  .slice(0, 16);

const header = z.strictObject({
  file: z.literal('tapbridge flows'),
  layout: z.string(),
  limit: z.int(),
  boot: z.string(),
  instance: z.string(),
});
type Header = z.infer<typeof header>;

const DIFFERENCES: Record<Exclude<keyof Header, 'file'>, string> = {
  layout: 'it is of another version of tapbridge',
  limit: 'it has room for another number of flows (nat.flowLimit)',
  boot: 'the machine was started since',
  instance: 'it belongs to another state directory',
};

export interface FlowFileOptions {
  path: string;
  /** Of flows. */
  limit: number;
  /** Of the state directory. */
  instance: string;
  /** Whether flows may be taken over: what they refer to is about to be made again. */
  adopt: boolean;
}

export class FlowFile {
  /** Open until `close`. */
  readonly descriptor: number;
  /** Where the rows begin. */
  readonly at = HEADER_BYTES;
  /** It has flows of a daemon before this one. */
  readonly adopt: boolean;

  private constructor(descriptor: number, adopt: boolean) {
    this.descriptor = descriptor;
    this.adopt = adopt;
  }

  /** The one there is, or a new one. null, with a warning: neither can be, and flows end with this daemon. */
  static open(options: FlowFileOptions, log: Log): FlowFile | null {
    const { path, limit, instance } = options;
    const wanted: Header = { file: 'tapbridge flows', layout: LAYOUT, limit, boot: bootId(), instance };
    try {
      const known = openOwn(path);
      if (known !== null) {
        const reason = options.adopt ? mismatch(known, wanted) : 'what they were of was removed';
        if (reason === null) return new FlowFile(known, true);
        closeSync(known);
        log.warn(
          { file: path, reason },
          `connections through NAT that were there before end: ${path} cannot be taken over, ${reason}`,
        );
      }
      return new FlowFile(make(path, wanted), false);
    } catch (error) {
      const reason = reasonOf(error);
      log.warn({ file: path, reason }, `connections through NAT will not survive a crash: cannot use ${path} (${reason})`);
      return null;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** Of a daemon that listens at this socket. */
export function flowFilePath(socket: string): string {
  return `${socket.replace(/\.sock$/, '')}.flows`;
}

/** Takes the file away; the flows in it are over. What is not ours stays. */
export function removeFlowFile(path: string, log: Log): void {
  try {
    const known = openOwn(path);
    if (known === null) return;
    closeSync(known);
    rmSync(path);
  } catch (error) {
    log.warn({ file: path, reason: reasonOf(error) }, `cannot remove ${path}`);
  }
}

/** null: there is none. @throws Error for what is not ours alone */
function openOwn(path: string): number | null {
  let descriptor: number;
  try {
    // Not blocking: for a FIFO somebody put there.
    descriptor = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (code === 'ELOOP') throw new Error('it is a symbolic link: remove it');
    throw error;
  }
  const stat = fstatSync(descriptor);
  const ours = stat.isFile() && stat.uid === process.geteuid?.() && stat.nlink === 1 && (stat.mode & PRIVATE) === 0;
  if (ours) return descriptor;
  closeSync(descriptor);
  throw new Error("it is not a plain file of the daemon's own with mode 0600: remove it");
}

/** Why its rows cannot be taken over; null: they can. */
function mismatch(descriptor: number, wanted: Header): string | null {
  const found = readHeader(descriptor);
  if (found === null) return 'it is damaged';
  for (const name of Object.keys(DIFFERENCES) as (keyof typeof DIFFERENCES)[]) {
    if (found[name] !== wanted[name]) return DIFFERENCES[name];
  }
  return fstatSync(descriptor).size === sizeFor(wanted.limit) ? null : 'it is damaged';
}

function readHeader(descriptor: number): Header | null {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const text = bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, HEADER_BYTES, 0));
  try {
    return header.parse(JSON.parse(text.replace(/\0+$/, '')));
  } catch {
    return null;
  }
}

/** In the place of whatever file of ours is there. */
function make(path: string, wanted: Header): number {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const descriptor = openSync(temporary, flags, 0o600);
  try {
    ftruncateSync(descriptor, sizeFor(wanted.limit));
    writeSync(descriptor, `${JSON.stringify(wanted)}\n`, 0);
    renameSync(temporary, path);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    rmSync(temporary, { force: true });
    throw error;
  }
}

function sizeFor(limit: number): number {
  return HEADER_BYTES + FlowTable.rowBytesFor(limit);
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}
