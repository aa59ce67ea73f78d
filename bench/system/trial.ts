/**
 * One trial in a process of its own: node trial.js DRIVER TYPE SECONDS. Builds a lab, connects it by the driver, warms up with the traffic
 * of the type, measures once, and prints one line of JSON. Start-up state (JIT, heap, address layout) is part of what varies between trials.
 */
import { Lab } from '../../dist/lab/lab.js';
import { cpuTimes } from '../machine.js';
import { A, B, type BenchType, type Driver } from './driver.js';
import { DRIVERS, TYPES } from './matrix.js';

export interface TrialResult {
  driver: string;
  type: string;
  value: number;
  unit: string;
  details: Record<string, number>;
  /** Cores of the whole machine busy during the measurement, and its share stolen by the hypervisor (0 … 1). */
  busyCores: number;
  steal: number;
}

const WARM_UP_SECONDS = 0.3;

async function trial(driver: Driver, type: BenchType, seconds: number): Promise<TrialResult> {
  const lab = Lab.create('tbbench');
  try {
    const [a, b] = await Promise.all([lab.host('a'), lab.host('b')]);
    // Router solicitations and multicast reports of IPv6 are no part of the measurement.
    for (const host of [a, b]) await host.sysctl('net/ipv6/conf/default/disable_ipv6', 1);
    await driver.connect(lab, a, b);
    const reachable = await a.ping({ address: B, count: 5, timeoutMillis: 2000 });
    const back = await b.ping({ address: A, count: 5, timeoutMillis: 2000 });
    if (reachable.received === 0 || back.received === 0) throw new Error(`${driver.name}: the hosts cannot reach each other`);
    await type.measure(a, b, Math.min(WARM_UP_SECONDS, seconds));

    const before = cpuTimes();
    const { value, details } = await type.measure(a, b, seconds);
    const after = cpuTimes();
    const elapsed = after.at - before.at;
    const busy = after.busy - before.busy;
    return {
      driver: driver.name,
      type: type.name,
      value,
      unit: type.unit,
      details: { ...details, cpuNanosPerUnit: (busy * 1e9) / details['units'] },
      busyCores: busy / elapsed,
      steal: (after.steal - before.steal) / elapsed,
    };
  } finally {
    await lab.close();
  }
}

const [driverName, typeName, seconds] = process.argv.slice(2);
const driver = DRIVERS.find(({ name }) => name === driverName);
const type = TYPES.find(({ name }) => name === typeName);
if (driver === undefined || type === undefined || !(Number(seconds) > 0)) {
  process.stderr.write('usage: node trial.js DRIVER TYPE SECONDS\n');
  process.exit(2);
}
try {
  process.stdout.write(`${JSON.stringify(await trial(driver, type, Number(seconds)))}\n`);
} catch (error) {
  process.stderr.write(`${driver.name} ${type.name}: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
