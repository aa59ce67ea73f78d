// Maps a guard another thread or process opened, or opens one itself; marks a bit, attaches, says so, and stays. On a thread, or as a process of its own.
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

const { addon, netns, index, guard, bitmap, bytes, attach } = workerData ?? JSON.parse(process.argv[2]);
const binding = createRequire(import.meta.url)(addon);
const own = guard ?? binding.openGuard();
const memory = binding.mapGuard(own);
const view = new Uint8Array(memory);
for (const [at, value] of bytes) view[at] = value;
const namespace = attach ? binding.openNetns(netns) : -1;
const link = attach ? binding.attachGuard(own, index, namespace) : -1;
const report = { own, link, length: memory.byteLength, seen: bitmap === undefined ? -1 : view[bitmap] };
if (parentPort === null) process.stdout.write(`${JSON.stringify(report)}\n`);
else parentPort.postMessage(report);
setInterval(() => view[0], 1000);
