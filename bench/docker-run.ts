/**
 * What a container costs at its start, and what all of them lose when the daemon is killed: node docker-run.js [--rounds N] [--containers N].
 * One real Docker engine, `docker run` on its docker0, on a network of its bridge driver, and on one of ours, in turns that change from round to
 * round; then many containers on ours, whose daemon is killed and started again.
 */
import { parseArgs } from 'node:util';
import { writeImage } from '../dist/lab/container-image.js';
import { DockerEngine } from '../dist/lab/docker-engine.js';
import { Lab } from '../dist/lab/lab.js';
import { describeMachine, forgetNodeSettings, TICKS_PER_SECOND, ticksOf } from './machine.js';
import { median } from './statistics.js';
import { ENGINE_NEEDS } from './system/drivers/docker-containers.js';
import { DaemonWithDocker } from './system/drivers/docker-tapbridge.js';
import { absence } from './system/plan.js';

const IMAGE = 'box';
const SUBNET = '198.18.0.0/24';
const AT_A_TIME = 5;
/** Resolution of the outage. */
const ECHO_MILLIS = 5;
const PATIENCE_MILLIS = 20_000;
const WARM_UPS = 2;

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '20' }, containers: { type: 'string', default: '50' } },
});
const [rounds, count] = [Number(values.rounds), Number(values.containers)];
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000 || !Number.isInteger(count) || count < 2 || count > 200) {
  process.stderr.write('usage: node docker-run.js [--rounds 1…1000] [--containers 2…200]\n');
  process.exit(2);
}
const lacking = absence({ needs: ENGINE_NEEDS });
if (lacking !== null) {
  process.stderr.write(`bench:docker-run ${lacking}\n`);
  process.exit(1);
}

forgetNodeSettings();
const lab = Lab.create('tbrun');
try {
  const { cpu, cores, kernel, node } = describeMachine();
  print(`${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}`);
  const host = lab.namespace('engine');
  const engine = await DockerEngine.start(lab, host);
  const daemon = await DaemonWithDocker.start(lab, host);
  const tar = `${lab.folder}/image.tar`;
  writeImage(tar);
  await engine.importImage(IMAGE, tar);
  await engine.ask('network', 'create', 'kernel');
  await engine.ask('network', 'create', '--driver', daemon.plugin, '--subnet', SUBNET, 'ours');
  await compareStarts(engine);
  await startMany(engine, daemon);
  await killUnderMany(engine, daemon);
} finally {
  await lab.close();
}

async function compareStarts(engine: DockerEngine): Promise<void> {
  const networks = { docker0: 'bridge', 'bridge network': 'kernel', tapbridge: 'ours' };
  const names = Object.keys(networks) as (keyof typeof networks)[];
  const millis: Record<string, number[]> = { docker0: [], 'bridge network': [], tapbridge: [] };
  for (let round = -WARM_UPS; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const start = performance.now();
      await runOne(engine, 'one', networks[name]);
      if (round >= 0) millis[name].push(performance.now() - start);
      await engine.ask('rm', '--force', 'one');
    }
  }
  const reference = median(millis['docker0']);
  print(`docker run --detach, ${rounds} rounds, interleaved:`);
  for (const name of names) {
    const middle = median(millis[name]);
    const difference = middle - reference;
    const apart = name === 'docker0' ? '' : `, ${signed(difference, 0)} ms, ${signed((difference / reference) * 100, 1)} %`;
    print(`  ${name.padEnd(14)} median ${middle.toFixed(0)} ms${apart}`);
  }
}

async function startMany(engine: DockerEngine, { pid }: DaemonWithDocker): Promise<void> {
  const before = ticksOf(pid);
  const start = performance.now();
  for (let from = 0; from < count; from += AT_A_TIME) {
    const some = Array.from({ length: Math.min(AT_A_TIME, count - from) }, (_, index) => from + index);
    await Promise.all(some.map((index) => runOne(engine, `box-${index}`, 'ours')));
  }
  const seconds = (performance.now() - start) / 1000;
  const busy = (ticksOf(pid) - before) / TICKS_PER_SECOND;
  print(`${count} containers, ${AT_A_TIME} at a time: ${seconds.toFixed(1)} s, of which ${busy.toFixed(2)} s CPU of the daemon`);
}

/**
 * Echoes from the first container to the last, which was attached last and comes back last. They know each other's MAC for good: an ARP request lost in
 * between is repeated a second later by the kernel (retrans_time_ms), whoever is back by then.
 */
async function killUnderMany(engine: DockerEngine, daemon: DaemonWithDocker): Promise<void> {
  const first = await lab.host('first', await engine.sandboxOf('box-0'));
  const last = lab.namespace('last', await engine.sandboxOf(`box-${count - 1}`));
  const [own, address] = await Promise.all([stationOf(engine, 'box-0'), stationOf(engine, `box-${count - 1}`)]);
  first.namespace.pinNeighbor('eth0', address.ip, address.mac);
  last.pinNeighbor('eth0', own.ip, own.mac);
  const answers = async (timeoutMillis: number) =>
    (await first.ping({ address: address.ip, count: 1, timeoutMillis })).received === 1;
  if (!(await answers(PATIENCE_MILLIS))) throw new Error('containers do not reach each other');
  const killed = performance.now();
  await daemon.kill();
  const started = performance.now();
  let listening = 0;
  const ready = daemon.startAgain().then(() => {
    listening = performance.now() - started;
  });
  while (!(await answers(ECHO_MILLIS))) {
    if (performance.now() - started > PATIENCE_MILLIS) throw new Error('containers do not reach each other after the restart');
  }
  const [outage, whole] = [performance.now() - started, performance.now() - killed];
  await ready;
  print(
    `kill -9 with ${count} containers: the first echo is answered ${outage.toFixed(0)} ms after the start of the next daemon (which listens after ` +
      `${listening.toFixed(0)} ms), ${whole.toFixed(0)} ms after the kill`,
  );
}

async function stationOf(engine: DockerEngine, name: string): Promise<{ ip: string; mac: string }> {
  const said = await engine.inspect(name, '{{with .NetworkSettings.Networks.ours}}{{.IPAddress}} {{.MacAddress}}{{end}}');
  const [ip, mac] = said.split(' ');
  return { ip, mac };
}

function runOne(engine: DockerEngine, name: string, network: string): Promise<string> {
  return engine.ask('run', '--detach', '--name', name, '--network', network, '--stop-timeout', '1', IMAGE, 'sleep', '100000');
}

function signed(number: number, digits: number): string {
  return `${number < 0 ? '-' : '+'}${Math.abs(number).toFixed(digits)}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
