/** Many ports: 10 in the memory that is promised, 200 on one bridge. Times are printed, not judged: the machine is shared. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { THREADS } from '../helpers/threads.js';

const MANY = 200;
/** The daemon's promise for 10 ports: 120 MiB; a further engine thread takes some 20 more. */
const RSS_KIB = (120 + (THREADS - 1) * 20) * 1024;
/** Two seconds of watching; clock ticks of /proc are 10 ms. */
const IDLE_MILLIS = 2000;

describeSystem('daemon: many ports', ['root', 'tap'], () => {
  let lab: Lab;
  let daemon: TestDaemon;
  let a: LabHost;

  beforeAll(async () => {
    lab = Lab.create('tbscale');
    [daemon, a] = await Promise.all([TestDaemon.start(lab, lab.namespace('host'), '--log-level', 'warn'), lab.host('a')]);
    await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/16' });
  });
  afterAll(async () => {
    await daemon.close();
    await lab.close();
  });

  async function attach(from: number, to: number): Promise<number[]> {
    const millis: number[] = [];
    for (let number = from; number < to; number++) {
      const start = performance.now();
      await daemon.client.attach('tb0', { port: `p${number}`, netns: a.netnsPath, ifname: `eth${number}`, ip: 'auto' });
      millis.push(performance.now() - start);
    }
    return millis.sort((x, y) => x - y);
  }

  function report(what: string, millis: number[]): void {
    const at = (part: number) => millis[Math.floor((millis.length - 1) * part)].toFixed(1);
    process.stdout.write(`${what}: median ${at(0.5)} ms, 99% ${at(0.99)} ms, most ${at(1)} ms\n`);
  }

  test('10 ports: within the memory that is promised', async () => {
    report('attach, 10 ports', await attach(0, 10));
    const rss = Number(/VmRSS:\s+([0-9]+) kB/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'latin1'))?.[1]);
    const ticks = () => {
      const fields = readFileSync(`/proc/${daemon.pid}/stat`, 'latin1').split(') ')[1].split(' ');
      return Number(fields[11]) + Number(fields[12]);
    };
    const before = ticks();
    await sleep(IDLE_MILLIS);
    process.stdout.write(`10 ports: ${Math.round(rss / 1024)} MiB, idle ${((ticks() - before) * 1000) / IDLE_MILLIS} % CPU\n`);
    expect(rss).toBeLessThan(RSS_KIB);
  });

  test('200 ports on one bridge: all answer, all are removed', async () => {
    report(`attach, ${MANY} ports`, await attach(10, MANY));
    const ports = await daemon.client.listPorts('tb0');
    expect(ports).toHaveLength(MANY + 1);
    expect(new Set(ports.map(({ mac }) => mac)).size).toBe(MANY + 1);
    expect(new Set(ports.map(({ ip }) => ip)).size).toBe(MANY + 1);
    expect((await daemon.client.listFdb('tb0')).length).toBe(MANY + 1);
    expect((await a.ping({ address: '198.18.0.1', count: 3 })).received).toBe(3);
    const start = performance.now();
    expect(await daemon.end('SIGTERM')).toBe(0);
    process.stdout.write(`SIGTERM with ${MANY} ports: ${Math.round(performance.now() - start)} ms\n`);
    expect(a.namespace.interfaces().map(({ name }) => name)).toEqual(['lo']);
  }, 60_000);
});
