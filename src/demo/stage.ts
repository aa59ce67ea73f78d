/**
 * Where the demo plays: a lab with four namespaces, and a daemon in one of them.
 *
 *     namespaces web, db                     namespace host                       namespace outside
 *     eth0 10.77.0.2, .3 ── a TAP each ── tapbridge daemon                        eth0 192.0.2.1
 *                                         tb0 10.77.0.1    eth0 192.0.2.2 ── veth pair ──┘
 *
 * The namespace the demo was started in gets nothing: no interface, no address, no route. What is made lies in the lab, in a folder of
 * its own under the system's folder for temporary files, and in processes that are children of this one.
 */
import type { ChildProcess } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Client, connect } from '../client/client.js';
import { connectHosts } from '../lab/connect-hosts.js';
import { Lab } from '../lab/lab.js';
import type { LabHost } from '../lab/lab-host.js';

export const BRIDGE = 'tb0';
export const SUBNET = '10.77.0.0/24';
export const GATEWAY = '10.77.0.1';
export const WEB = '10.77.0.2';
export const DB = '10.77.0.3';
/** A container that ends, and a station nobody announced. */
export const JOB = '10.77.0.9';
export const GUEST = '10.77.0.50';
/** The host's address outside, by which its containers are seen there, and the host there. */
export const HOST_OUTSIDE = '192.0.2.2';
export const OUTSIDE = '192.0.2.1';

const PREFIX = 'tbdemo';
const START_MILLIS = 10_000;
const POLL_MILLIS = 10;
/** A socket's path has at most 107 bytes; this is what remains for the folder. */
const FOLDER_BYTES = 80;
const LOG_TAIL_LINES = 5;

export class Stage {
  readonly lab: Lab;
  /** Socket, state and log of the daemon. */
  readonly folder: string;
  readonly socket: string;
  readonly client: Client;
  /** The namespace the daemon lives in. */
  readonly host: LabHost;
  readonly web: LabHost;
  readonly db: LabHost;
  /** Reached through the host, and knows no way to the containers. */
  readonly outside: LabHost;
  private daemon: ChildProcess | undefined;
  private readonly removeFolder = (): void => rmSync(this.folder, { recursive: true, force: true });

  private constructor(lab: Lab, folder: string, hosts: Record<'host' | 'web' | 'db' | 'outside', LabHost>) {
    this.lab = lab;
    this.folder = folder;
    this.socket = join(folder, 'tapbridge.sock');
    this.client = connect(this.socket);
    this.host = hosts.host;
    this.web = hosts.web;
    this.db = hosts.db;
    this.outside = hosts.outside;
    process.once('exit', this.removeFolder);
  }

  /** Makes the namespaces and their processes. @param onLab is given the lab before anything is in it, so that it can be closed at any time */
  static async open(onLab: (lab: Lab) => void): Promise<Stage> {
    const lab = Lab.create(PREFIX);
    onLab(lab);
    const [host, web, db, outside] = await Promise.all(['host', 'web', 'db', 'outside'].map((name) => lab.host(name)));
    await Promise.all([host, web, db, outside].map(silence));
    connectHosts(host, HOST_OUTSIDE, outside, OUTSIDE);
    host.namespace.configure('eth0', { gateway: OUTSIDE });
    return new Stage(lab, makeFolder(), { host, web, db, outside });
  }

  /** Starts `tapbridge daemon` in the host's namespace and waits until it answers. Returns its process id. @throws Error with what it said */
  async startDaemon(): Promise<number> {
    const script = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
    const args = ['daemon', '--socket', this.socket, '--state', join(this.folder, 'state')];
    const daemon = this.lab.run(this.host.namespace, script, args, { stdio: 'pipe' });
    this.daemon = daemon;
    const log = createWriteStream(this.logFile);
    // A disk that is full costs the log, not the demo.
    log.on('error', () => undefined);
    daemon.stdout?.pipe(log, { end: false });
    daemon.stderr?.pipe(log, { end: false });
    const deadline = performance.now() + START_MILLIS;
    for (;;) {
      if (daemon.exitCode !== null || daemon.signalCode !== null) {
        throw new Error(`the daemon ended with ${daemon.signalCode ?? `status ${daemon.exitCode}`}`);
      }
      try {
        return (await this.client.version()).pid;
      } catch (error) {
        if (performance.now() > deadline) throw error;
      }
      await sleep(POLL_MILLIS);
    }
  }

  get logFile(): string {
    return join(this.folder, 'daemon.log');
  }

  /** The last the daemon said, for a step that failed. */
  logTail(): string[] {
    if (this.daemon === undefined) return [];
    try {
      return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES);
    } catch {
      return [];
    }
  }

  /** Ends the daemon and the lab, removes the folder. Idempotent. */
  async close(): Promise<void> {
    await this.lab.close();
    this.removeFolder();
    process.off('exit', this.removeFolder);
  }
}

/** No IPv6 in a namespace: its neighbor discovery would stand between the frames the demo shows. */
async function silence(host: LabHost): Promise<void> {
  for (const scope of ['all', 'default']) {
    // A kernel without IPv6 has nothing to silence.
    await host.sysctl(`net/ipv6/conf/${scope}/disable_ipv6`, 1).catch(() => undefined);
  }
}

function makeFolder(): string {
  const parent = Buffer.byteLength(tmpdir()) <= FOLDER_BYTES ? tmpdir() : '/tmp';
  return mkdtempSync(join(parent, 'tapbridge-demo-'));
}
