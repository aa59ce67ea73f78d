/**
 * DEL: best effort, and never an error for what is gone already. Runtimes do not repeat it (podman ignores a failing DEL), so what cannot be done now
 * is left as a note for the daemon.
 */
import { Client } from '../client/client.js';
import { ClientError } from '../client/client-error.js';
import type { Call } from './call.js';
import { CniError, Code } from './cni-error.js';
import { ipamOf } from './delegate.js';
import { portNameOf } from './names.js';
import { removeNote, writeNote } from './note.js';

/** With the longest an IPAM may take (delegate.ts) less than what the whole call has (main.ts), so that each has its turn. */
const PATIENCE = { first: 15_000, last: 5_000 };

/**
 * @param patience milliseconds for the first attempt, and for that after the note
 * @throws CniError 11 when the daemon cannot be reached and no note could be left
 */
export async function del(call: Call, patience = PATIENCE): Promise<void> {
  const { environment, network } = call;
  try {
    await detach(call, portNameOf(network.name, environment.containerId, environment.ifname), patience);
  } finally {
    await releaseAddresses(call);
  }
}

/** Whoever has no lease is no error either. @param attachment default: the call's own */
export async function releaseAddresses(call: Call, attachment?: { containerId: string; ifname: string }): Promise<void> {
  try {
    await ipamOf(call.network, call.environment)?.run('DEL', attachment);
  } catch (error) {
    process.stderr.write(`tapbridge-cni: ipam DEL: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}

async function detach({ environment, network }: Call, port: string, patience: typeof PATIENCE): Promise<void> {
  const { bridge, socket, state } = network;
  const attempt = async (millis: number): Promise<unknown> => {
    try {
      await new Client(socket, millis).detach(bridge, port);
    } catch (error) {
      if (!(error instanceof ClientError && error.code === 'not-found')) return error;
    }
    return undefined;
  };
  const failed = await attempt(patience.first);
  if (failed === undefined) return;
  const reason = failed instanceof Error ? failed.message : String(failed);
  try {
    if (!writeNote(state, { bridge, port, container: environment.containerId })) {
      process.stderr.write(`tapbridge-cni: ${reason}; ${state} does not exist, so there is nothing to remember\n`);
      return;
    }
  } catch (error) {
    const details = `and no note can be left in ${state}: ${(error as Error).message}`;
    throw new CniError(Code.tryAgain, `detach ${port}: ${reason}`, details);
  }
  if ((await attempt(patience.last)) === undefined) removeNote(state, port);
  else process.stderr.write(`tapbridge-cni: ${reason}; the daemon finds a note about ${port} when it starts\n`);
}
