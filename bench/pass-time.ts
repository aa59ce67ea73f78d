/**
 * What a pass of the engine takes by what it did before: node pass-time.js [--echoes N]. Two hosts with a TAP each, our engine between them in a thread of
 * its own; host a pings b with longer and longer pauses, and each pass that sent something tells the time from the end of `receive` to the call of
 * `send` (all that is TypeScript), the time in `send` (b's kernel answers an echo in there), and whether the engine had slept before it.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { openTap } from '../dist/control/tap.js';
import { columns } from '../dist/demo/report.js';
import { burstIoOptions } from '../dist/engine/burst-io-options.js';
import { execute } from '../dist/engine/commands.js';
import { Engine } from '../dist/engine/engine.js';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_MAX_PORTS, DEFAULT_PORT_FLAGS, type PortSettings } from '../dist/engine/protocol.js';
import { warmUpAtOnce } from '../dist/engine/warm-up.js';
import { Lab } from '../dist/lab/lab.js';
import type { LabHost } from '../dist/lab/lab-host.js';
import type { LabNamespace } from '../dist/lab/lab-namespace.js';
import { type BurstIoOptions, loadBinding, Status } from '../dist/native/binding.js';
import { getLink, moveLink } from '../dist/netlink/link.js';
import { parseIpv4 } from '../dist/wire/ipv4-address.js';
import { parseMac } from '../dist/wire/mac-address.js';
import { describeMachine } from './machine.js';
import { isTold, median, percentile } from './statistics.js';

/** 0: the next echo follows the answer. */
const PAUSES_MILLIS = [0, 1, 4, 10, 40];
const WARM_UP_ECHOES = 5000;
const ADDRESSES = ['198.18.0.1', '198.18.0.2'];
const MTU = 1500;
/** Cells that both threads see: whether the engine is to end, which pause is being measured (-1: none), samples so far. */
const Cell = { stop: 0, pause: 1, samples: 2 } as const;
/** Columns of a sample: index of the pause, whether the engine slept before, microseconds in TypeScript and in `send`. */
const COLUMNS = 4;
/** An echo takes two passes; what else comes (ARP now and then) has room behind them. */
const SAMPLES_PER_ECHO = 3;

interface Input {
  ports: PortSettings[];
  cells: Int32Array<SharedArrayBuffer>;
  samples: Float64Array<SharedArrayBuffer>;
}

if (isMainThread) await measure();
else runEngine(workerData as Input);

async function measure(): Promise<void> {
  // A few more than a p99 takes, since not each pass behind a pause has slept.
  const { values } = parseArgs({ options: { echoes: { type: 'string', default: '1100' } } });
  const echoes = Number(values.echoes);
  if (!Number.isInteger(echoes) || echoes < 10 || echoes > 100_000) {
    process.stderr.write('usage: node pass-time.js [--echoes 10…100000]\n');
    process.exit(2);
  }
  const { cpu, cores, kernel, node } = describeMachine();
  print(`${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}`);
  const room = PAUSES_MILLIS.length * echoes * SAMPLES_PER_ECHO * COLUMNS;
  const samples = new Float64Array(new SharedArrayBuffer(room * Float64Array.BYTES_PER_ELEMENT));
  const cells = new Int32Array(new SharedArrayBuffer(Object.keys(Cell).length * Int32Array.BYTES_PER_ELEMENT));
  const lab = Lab.create('tbpass');
  try {
    const middle = lab.namespace('middle');
    const [a, b] = [await lab.host('a'), await lab.host('b')];
    const ports = [await makePort(lab, middle, a, 0), await makePort(lab, middle, b, 1)];
    cells[Cell.pause] = -1;
    const worker = new Worker(new URL(import.meta.url), { workerData: { ports, cells, samples } satisfies Input });
    const [waker] = (await once(worker, 'message')) as [number];
    await a.ping({ address: ADDRESSES[1], count: WARM_UP_ECHOES });
    const rows = [['pause', 'echo, µs', 'pass', 'n', 'TypeScript, µs: median', 'p90', 'p99', 'send, µs: median', 'p90']];
    for (const [index, intervalMillis] of PAUSES_MILLIS.entries()) {
      Atomics.store(cells, Cell.pause, index);
      const { rttMicros } = await a.ping({ address: ADDRESSES[1], count: echoes, intervalMillis });
      Atomics.store(cells, Cell.pause, -1);
      const told = samples.subarray(0, Atomics.load(cells, Cell.samples) * COLUMNS);
      rows.push([`${intervalMillis} ms`, median(rttMicros).toFixed(1), 'after a sleep', ...figures(told, index, 1)]);
      rows.push(['', '', 'while polling', ...figures(told, index, 0)]);
    }
    Atomics.store(cells, Cell.stop, 1);
    lab.binding.wake(waker);
    await once(worker, 'exit');
    for (const line of columns(rows)) print(line);
  } finally {
    // Should something have failed above, the engine looks at least once a second.
    Atomics.store(cells, Cell.stop, 1);
    await lab.close();
  }
}

/** A TAP as `tapbridge attach` makes it. */
async function makePort(lab: Lab, middle: LabNamespace, host: LabHost, index: number): Promise<PortSettings> {
  const [ip, mac] = [ADDRESSES[index], `02:00:00:00:00:0${index + 1}`];
  // Nothing but what is measured.
  for (const each of ['all', 'default']) await host.sysctl(`net/ipv6/conf/${each}/disable_ipv6`, 1);
  const { descriptor, udpSegmentation } = openTap(lab.binding, host.name, 1, middle.descriptor);
  moveLink(middle.netlink, getLink(middle.netlink, host.name).index, host.namespace.descriptor, 'eth0');
  host.namespace.configure('eth0', { address: ip, mac });
  const spec = { kind: 'tap', descriptor, queues: [], vnetHeader: true, udpSegmentation } as const;
  const address = { mac: parseMac(mac), ip: parseIpv4(ip) };
  return { bridge: 0, spec, flags: DEFAULT_PORT_FLAGS, mtu: MTU, macLimit: 0, address, local: false, faults: null };
}

/** The engine's thread, as src/engine/worker.ts has it. */
function runEngine({ ports, cells, samples }: Input): void {
  const binding = loadBinding();
  /**
   * When `receive` returned the addon says itself, by the same clock. The other times are those of process.hrtime: warm it costs 46 ns as the addon's
   * clock does, but behind a pause of 10 ms about 1 µs instead of 3, and that is in what is measured.
   */
  const TimedIo = class extends binding.BurstIo {
    private readonly columns: Float64Array;
    private sleep = 0;
    private slept = 0;
    private returned = 0;

    constructor(options: BurstIoOptions) {
      super(options);
      this.columns = new Float64Array(this.status);
    }

    override receive(spinMicros: number, sleepMicros: number, yields?: boolean): number {
      const frames = super.receive(spinMicros, sleepMicros, yields);
      const sum = this.columns[Status.slept];
      this.slept = sum > this.sleep ? 1 : 0;
      this.sleep = sum;
      this.returned = frames > 0 ? this.columns[Status.now] : 0;
      return frames;
    }

    override send(words: number): number {
      const called = hrtimeMicros();
      const failures = super.send(words);
      if (this.returned > 0) this.keep(called - this.returned, hrtimeMicros() - called);
      this.returned = 0;
      return failures;
    }

    private keep(scriptMicros: number, sendMicros: number): void {
      const pause = cells[Cell.pause];
      const at = cells[Cell.samples] * COLUMNS;
      if (pause < 0 || at + COLUMNS > samples.length) return;
      samples[at] = pause;
      samples[at + 1] = this.slept;
      samples[at + 2] = scriptMicros;
      samples[at + 3] = sendMicros;
      Atomics.add(cells, Cell.samples, 1);
    }
  };
  const ioOptions = burstIoOptions(DEFAULT_MAX_PORTS);
  const io = new TimedIo(ioOptions);
  const engine = new Engine({ io, ioOptions });
  warmUpAtOnce(false, true);
  execute(engine, 'add-bridge', { bridge: 0, settings: DEFAULT_BRIDGE_SETTINGS });
  for (const [port, settings] of ports.entries()) execute(engine, 'add-port', { port, settings });
  parentPort?.postMessage(io.waker);
  while (Atomics.load(cells, Cell.stop) === 0) engine.step(-1);
  engine.close();
}

function hrtimeMicros(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1e6 + nanos / 1000;
}

/** n and percentiles of the passes of a pause. Those that too few samples lie beyond are left out. */
function figures(samples: Float64Array, pause: number, slept: number): string[] {
  const rows: number[] = [];
  for (let at = 0; at < samples.length; at += COLUMNS) if (samples[at] === pause && samples[at + 1] === slept) rows.push(at);
  const of = (column: number, share: number): string => {
    const sorted = rows.map((at) => samples[at + column]).sort((one, other) => one - other);
    return isTold(sorted.length, share) ? percentile(sorted, share).toFixed(2) : '-';
  };
  return [String(rows.length), of(2, 0.5), of(2, 0.9), of(2, 0.99), of(3, 0.5), of(3, 0.9)];
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
