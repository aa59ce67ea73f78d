/** npm run bench:micro: each number from several fresh processes, one after the other, interleaved over the list. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../machine.js';
import { type Summary, summarize } from '../statistics.js';
import { fieldNames, WIRE_FILES } from './fields.js';

interface Micro {
  module: string;
  variant: string;
  what: string;
  unit: 'frame' | 'copy' | 'datagram' | 'piece' | 'lookup' | 'address' | 'header' | 'flow';
  /** Only when its module is asked for: there are many. */
  onRequest?: boolean;
}

const MICROS: readonly Micro[] = [
  { module: 'decision', variant: '1000', what: 'decision, 1,000 MACs, mixed', unit: 'frame' },
  { module: 'decision', variant: '10000', what: 'decision, 10,000 MACs, mixed', unit: 'frame' },
  { module: 'decision', variant: '60000', what: 'decision, 60,000 MACs, mixed', unit: 'frame' },
  { module: 'decision', variant: 'stream', what: 'decision, a conversation per burst', unit: 'frame' },
  { module: 'learning', variant: 'known', what: 'learning, known address renewed', unit: 'address' },
  { module: 'learning', variant: 'new', what: 'learning, new address', unit: 'address' },
  { module: 'learning', variant: 'moved', what: 'learning, address moved', unit: 'address' },
  { module: 'pass', variant: 'unicast', what: 'whole pass, unicast', unit: 'frame' },
  { module: 'pass', variant: 'flood-8', what: 'whole pass, flood to 8 ports', unit: 'copy' },
  { module: 'pass', variant: 'flood-64', what: 'whole pass, flood to 64 ports', unit: 'copy' },
  { module: 'coalescing', variant: 'merge', what: 'merging 64 datagrams', unit: 'datagram' },
  { module: 'coalescing', variant: 'pass', what: 'sending 64 datagrams unmerged', unit: 'datagram' },
  { module: 'rewrite', variant: 'udp', what: 'translation, complete checksum', unit: 'frame' },
  { module: 'rewrite', variant: 'tcp', what: 'translation, partial checksum', unit: 'frame' },
  { module: 'nat', variant: '1000', what: 'NAT decision, 1,000 flows', unit: 'frame' },
  { module: 'nat', variant: '100000', what: 'NAT decision, 100,000 flows', unit: 'frame' },
  { module: 'nat', variant: '262144', what: 'NAT decision, 262,144 flows', unit: 'frame' },
  { module: 'nat', variant: 'open', what: 'NAT decision that opens a flow', unit: 'flow' },
  { module: 'checksum', variant: '20', what: 'checksum of 20 bytes', unit: 'piece' },
  { module: 'checksum', variant: '1460', what: 'checksum of 1,460 bytes', unit: 'piece' },
  { module: 'checksum', variant: '65000', what: 'checksum of 65,000 bytes', unit: 'piece' },
  { module: 'wire', variant: '', what: 'ten fields of a UDP frame', unit: 'frame' },
  ...Object.keys(WIRE_FILES).map(
    (file): Micro => ({ module: 'header', variant: file, what: `all fields of a header, ${file}`, unit: 'header' }),
  ),
  { module: 'accessors', variant: 'bytes', what: 'five fields, byte by byte', unit: 'frame' },
  { module: 'accessors', variant: 'dataview', what: 'five fields, DataView', unit: 'frame' },
  { module: 'accessors', variant: 'words', what: 'five fields, aligned words', unit: 'frame' },
  { module: 'table', variant: '1000', what: 'table lookup, 1,000 rows', unit: 'lookup' },
  { module: 'table', variant: '60000', what: 'table lookup, 60,000 rows', unit: 'lookup' },
  { module: 'flow-table', variant: 'find', what: 'flow lookup, 100,000 flows', unit: 'lookup' },
  { module: 'flow-table', variant: 'track', what: 'flow lookup, timer, counters', unit: 'frame' },
  { module: 'flow-table', variant: 'open', what: 'flow removed, flow opened', unit: 'flow' },
  ...['nothing', ...fieldNames()].map(
    (field): Micro => ({ module: 'field', variant: field, what: field, unit: 'header', onRequest: true }),
  ),
];

const USAGE = `usage: npm run bench:micro -- [--only MODULE] [--processes N] [--json FILE]

  --only MODULE    ${[...new Set(MICROS.map(({ module }) => module))].join(', ')}
                   ("field" is each accessor of src/wire by itself, and only measured when named)
  --processes N    fresh processes for each number; default 5
`;

function runOnce({ module, variant, what }: Micro): number {
  const script = fileURLToPath(new URL(`./${module}.bench.js`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, variant].filter(Boolean), { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${what}: ${stderr.trim()}`);
  return (JSON.parse(stdout) as { nanos: number }).nanos;
}

function line({ what, unit }: Micro, { median, min, max }: Summary): string {
  const perMicro = 1000 / median;
  const rate = `${perMicro >= 100 ? perMicro.toFixed(0) : perMicro.toPrecision(3)} M/s`;
  return `${what.padEnd(38)} ${median.toPrecision(3).padStart(7)} ns/${unit.padEnd(9)} ${rate.padStart(12)}   ${min.toPrecision(3)} … ${max.toPrecision(3)}`;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      processes: { type: 'string', default: '5' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const processes = Number(values.processes);
  if (!Number.isInteger(processes) || processes < 1) throw new Error(`--processes ${values.processes}: give a whole number`);
  const chosen = MICROS.filter(({ module, onRequest }) =>
    values.only === undefined ? onRequest !== true : module === values.only,
  );
  if (chosen.length === 0) throw new Error(`--only ${values.only}: there is no such module`);
  const machine = describeMachine();
  process.stdout.write(`${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}; medians of ${processes} processes\n\n`);
  const measured = chosen.map(() => [] as number[]);
  for (let round = 0; round < processes; round++) {
    chosen.forEach((micro, index) => {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${round + 1}/${processes} ${micro.what}`);
      measured[index].push(runOnce(micro));
    });
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const results = chosen.map((micro, index) => ({ ...micro, nanos: summarize(measured[index]) }));
  for (const result of results) process.stdout.write(`${line(result, result.nanos)}\n`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, processes, results }, null, 1)}\n`);
}

try {
  main();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
