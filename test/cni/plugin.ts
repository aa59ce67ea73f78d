/** The plugin of the last build as a runtime calls it: a process in a namespace of a lab. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { compiledModule } from '../../src/lab/compiled.js';
import type { Lab } from '../../src/lab/lab.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';

export interface PluginResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

const PLUGIN = '../cni/tapbridge-cni.js';

/** @param input its standard input @param wrapper what `tapbridge cni install` wrote; default: Node is called here */
export function runPlugin(env: Record<string, string>, input: string, wrapper?: string): Promise<PluginResult> {
  const [command, ...args] = wrapper === undefined ? [process.execPath, compiledModule(PLUGIN)] : [wrapper];
  return resultOf(spawn(command, args, { env, stdio: 'pipe' }), input);
}

export function runPluginIn(
  lab: Lab,
  namespace: LabNamespace,
  env: Record<string, string>,
  input: string,
): Promise<PluginResult> {
  return resultOf(startPluginIn(lab, namespace, env), input);
}

/** With its standard input open: nothing is done before that ends. */
export function startPluginIn(lab: Lab, namespace: LabNamespace, env: Record<string, string>): ChildProcess {
  return lab.run(namespace, compiledModule(PLUGIN), [], { env, stdio: 'pipe', stdin: 'pipe' });
}

function resultOf(plugin: ChildProcess, input: string): Promise<PluginResult> {
  const result: PluginResult = { status: null, stdout: '', stderr: '' };
  plugin.stdout?.on('data', (chunk) => (result.stdout += chunk));
  plugin.stderr?.on('data', (chunk) => (result.stderr += chunk));
  plugin.stdin?.on('error', () => {});
  plugin.stdin?.end(input);
  return new Promise((resolve) => plugin.once('close', (status) => resolve({ ...result, status })));
}
