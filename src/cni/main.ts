#!/usr/bin/env node
/**
 * tapbridge-cni: the CNI plugin. Parameters in the environment, the configuration on standard input, one JSON document on standard output, all else on
 * standard error, exit 0 or 1. A thin client of the daemon: every call pays the start of Node, so what a verb does not need is not even run, and all of it is
 * joined into one file behind the compiler (package.json, build:cni), which takes 20 ms less to load than its modules do.
 *
 *     runtime ──env, stdin──▶ tapbridge-cni ──HTTP on a unix socket──▶ daemon ──▶ TAP in the container's namespace
 *                                   └──env, stdin──▶ host-local or another IPAM
 */
import { readFileSync, writeSync } from 'node:fs';
import type { Call } from './call.js';
import { CniError, Code, errorDocument } from './cni-error.js';
import { type Environment, readEnvironment, type Verb } from './environment.js';
import { isVersion, NEWEST, requireVersion, VERSIONS, type Version } from './version.js';

const MAX_INPUT_BYTES = 8 << 20;
/** A daemon that does not answer must not hang the runtime; it calls DEL after that, as after any error. */
const LONGEST_MILLIS = 90_000;

type Handled = Exclude<Verb, 'VERSION'>;

/** Each answers with the document to print, or nothing. */
const HANDLERS: Record<Handled, () => Promise<(call: Call) => Promise<unknown>>> = {
  ADD: async () => (await import('./add.js')).add,
  DEL: async () => (await import('./del.js')).del,
  CHECK: async () => (await import('./check.js')).check,
  STATUS: async () => (await import('./status.js')).status,
  GC: async () => (await import('./gc.js')).gc,
};
/** Versions that have the verb; absent: all of them. */
const SINCE: Partial<Record<Verb, Version>> = { CHECK: '0.4.0', STATUS: '1.1.0', GC: '1.1.0' };

/** Of the input, as soon as it is known: errors are told in it. */
let version: string = NEWEST;

try {
  const watchdog = setTimeout(
    () => end(new CniError(Code.tryAgain, 'the daemon or the IPAM plugin does not answer')),
    LONGEST_MILLIS,
  );
  watchdog.unref();
  const answer = await run(readEnvironment(process.env));
  if (answer !== undefined) print(answer);
  // One of several requests may still wait for its answer, and would keep the process.
  process.exit(0);
} catch (error) {
  end(error);
}

async function run(environment: Environment): Promise<unknown> {
  const text = await readInput();
  if (environment.verb === 'VERSION') return versions(text);
  const loaded = Promise.all([import('./network.js'), import('../client/client.js'), HANDLERS[environment.verb]()]);
  const [{ parseInput, readNetwork }, { Client }, handle] = await loaded;
  const fields = parseInput(text);
  if (isVersion(fields['cniVersion'])) version = fields['cniVersion'];
  const network = readNetwork(fields, text);
  const since = SINCE[environment.verb];
  if (since !== undefined) requireVersion(environment.verb, network.version, since);
  return handle({ environment, network, client: new Client(network.socket) });
}

/** Echoes the version asked in; without one the newest. */
function versions(text: string): object {
  let asked: unknown;
  try {
    asked = text.trim() === '' ? undefined : (JSON.parse(text) as { cniVersion?: unknown } | null)?.cniVersion;
  } catch (error) {
    throw new CniError(Code.decoding, `error unmarshall network config: ${(error as Error).message}`);
  }
  return { cniVersion: typeof asked === 'string' && asked !== '' ? asked : NEWEST, supportedVersions: VERSIONS };
}

async function readInput(): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(0);
  } catch (error) {
    // A pipe somebody made non-blocking, and that is still empty.
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') bytes = Buffer.concat(await process.stdin.toArray());
    else throw new CniError(Code.io, `cannot read standard input: ${(error as Error).message}`);
  }
  if (bytes.length > MAX_INPUT_BYTES) throw new CniError(Code.io, `standard input has more than ${MAX_INPUT_BYTES} bytes`);
  return bytes.toString('utf8');
}

function print(document: unknown): void {
  const bytes = Buffer.from(`${JSON.stringify(document)}\n`);
  // A pipe takes what fits; standard output is blocking here.
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

function end(error: unknown): never {
  print(errorDocument(error, version));
  process.exit(1);
}
