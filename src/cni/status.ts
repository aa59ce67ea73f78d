/** STATUS: whether an ADD could be served now. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '../client/client.js';
import { ClientError, NoAnswer } from '../client/client-error.js';
import { sendForJson } from '../client/requests.js';
import type { Call } from './call.js';
import { CniError, Code } from './cni-error.js';
import { find } from './daemon-error.js';
import { ipamOf } from './delegate.js';
import { freeAddresses, readOwnPool } from './own-pool.js';
import { readSettings } from './settings.js';

/** Runtimes ask often, and wait for the answer. */
const LONGEST_MILLIS = 5_000;

/** @throws CniError 50, 51, or what the IPAM says */
export async function status(call: Call, millis = LONGEST_MILLIS): Promise<void> {
  const { network, environment } = call;
  readSettings(network.fields);
  await checkDaemon(call, millis);
  const { ipam } = network;
  if (ipam?.own !== true) {
    await ipamOf(network, environment)?.run('STATUS');
    return;
  }
  const client = new Client(network.socket, millis);
  const pool = readOwnPool(ipam.fields, undefined);
  const bridge = await find(`look for bridge ${network.bridge}`, client.getBridge(network.bridge));
  if (bridge === undefined) return;
  const ports = await find(`list the ports of ${network.bridge}`, client.listPorts(network.bridge));
  if (freeAddresses(pool, bridge, ports ?? []) > 0) return;
  throw new CniError(
    Code.notAvailable,
    `no address of network ${network.name} is free`,
    `bridge ${network.bridge}, ${bridge.subnet}`,
  );
}

async function checkDaemon({ network }: Call, millis: number): Promise<void> {
  try {
    await sendForJson({ socketPath: network.socket, path: '/healthz', patience: millis });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    // It hangs, or is not well; or it ended and has a record: its containers are there, and their frames go nowhere.
    const suffer = error instanceof NoAnswer || error.status !== 0 || remembersPorts(network.state);
    throw new CniError(suffer ? Code.limited : Code.notAvailable, error.message, error.hint);
  }
}

/** By the record of a daemon that does not run: an orderly end leaves it without ports, unless it is to come back. */
function remembersPorts(state: string): boolean {
  try {
    const record = JSON.parse(readFileSync(join(state, 'state.json'), 'utf8')) as { bridges: { ports: unknown[] }[] };
    return record.bridges.some(({ ports }) => ports.length > 0);
  } catch {
    // None, or none that is ours to read.
    return false;
  }
}
