/**
 * node dist/lab/enter.js NETNS_PATH SCRIPT ARGS…: runs a script's main inside a network namespace, as `ip netns exec` would, but without iproute2
 * and without touching mounts. The main thread enters before anything else is loaded: what it opens, and the threads it starts later (workers
 * with their engines), are inside. /proc/self/net and /proc/sys/net follow; /sys/class/net stays the one of the parent.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadBinding } from '../native/binding.js';
import { check } from '../native/system-error.js';

const [netns, script, ...rest] = process.argv.slice(2);
if (netns === undefined || script === undefined) {
  process.stderr.write('usage: node dist/lab/enter.js NETNS_PATH SCRIPT [ARGS…]\n');
  process.exit(2);
}
try {
  const binding = loadBinding();
  const descriptor = check(binding.openNetns(netns), 'openNetns', netns);
  check(binding.enterNetns(descriptor), 'setns', netns);
  binding.closeDescriptor(descriptor);
} catch (error) {
  process.stderr.write(`cannot enter ${netns}: ${(error as Error).message}\n`);
  process.exit(1);
}
const path = resolve(script);
process.argv = [process.argv[0], path, ...rest];
await import(pathToFileURL(path).href);
