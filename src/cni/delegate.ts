/**
 * Running another plugin for the addresses: found in CNI_PATH by its name, with the environment and the input of this call, its log to ours.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { CniError, Code } from './cni-error.js';
import type { Environment, Verb } from './environment.js';
import { type Fields, textAt } from './fields.js';
import type { Network } from './network.js';
import { type Result, readResult } from './result.js';

const MAX_ANSWER_BYTES = 1 << 20;
/** host-local waits for a lock; what takes longer hangs. */
const LONGEST_MILLIS = 60_000;

export interface Ipam {
  run(verb: Verb, attachment?: { containerId: string; ifname: string }): Promise<string>;
}

/** The plugin that gives the network's addresses; undefined: none, or ourselves. */
export function ipamOf(network: Network, environment: Environment): Ipam | undefined {
  const { ipam, text } = network;
  if (ipam === null || ipam.own) return undefined;
  return {
    run: (verb, attachment = environment) => {
      const env: NodeJS.ProcessEnv = { ...process.env, CNI_COMMAND: verb };
      env['CNI_CONTAINERID'] = attachment.containerId;
      env['CNI_IFNAME'] = attachment.ifname;
      if (attachment !== environment) env['CNI_NETNS'] = '';
      return runPlugin(findPlugin(ipam.type, environment.path), ipam.type, env, text);
    },
  };
}

/** @throws CniError what it answered, or why it could not */
export async function addByIpam(ipam: Ipam, type: string): Promise<Result> {
  const answer = await ipam.run('ADD');
  let value: unknown;
  try {
    value = JSON.parse(answer);
  } catch {
    throw new CniError(Code.decoding, `ipam plugin ${type} answered no JSON`, answer.slice(0, 200));
  }
  return readResult(`the answer of ipam plugin ${type}`, value);
}

function findPlugin(type: string, path: readonly string[]): string {
  for (const folder of path) {
    const file = join(folder, type);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not here.
    }
  }
  const where = path.length === 0 ? 'CNI_PATH is empty' : `it is in none of ${path.join(', ')}`;
  throw new CniError(Code.invalidConfig, `failed to find ipam plugin "${type}"`, where);
}

function runPlugin(file: string, type: string, env: NodeJS.ProcessEnv, input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const plugin = spawn(file, [], { env, stdio: ['pipe', 'pipe', 'inherit'], timeout: LONGEST_MILLIS, killSignal: 'SIGKILL' });
    const chunks: Buffer[] = [];
    let bytes = 0;
    plugin.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
      else plugin.kill('SIGKILL');
    });
    // It need not read its input.
    plugin.stdin.on('error', () => {});
    plugin.on('error', (error) => reject(new CniError(Code.internal, `cannot run ipam plugin ${type}: ${error.message}`)));
    plugin.on('close', (status, signal) => {
      const answer = Buffer.concat(chunks).toString('utf8');
      if (status === 0) resolve(answer);
      else reject(errorOf(type, answer, signal === null ? `status ${status}` : `signal ${signal}`));
    });
    plugin.stdin.end(input);
  });
}

/** Its error goes on as it is. */
function errorOf(type: string, answer: string, how: string): CniError {
  try {
    const fields = JSON.parse(answer) as Fields;
    const { code } = fields;
    if (typeof code === 'number') return new CniError(code, textAt(fields, 'msg') ?? '', textAt(fields, 'details') ?? '');
  } catch {
    // No error object.
  }
  return new CniError(Code.internal, `ipam plugin ${type} failed with ${how}`, answer.slice(0, 200));
}
