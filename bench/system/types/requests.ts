/**
 * What people run: a web server and a store, asked through published ports from outside by the usual load generators. In a container the servers run
 * already; in a host of the lab's they are started here.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, listensOn, Program } from '../programs.js';
import { NGINX_PORT, nginxConfig, PAGE, REDIS_ARGUMENTS, REDIS_PORT } from '../request-servers.js';
import type { BenchType, Measurement, Trial } from '../type.js';

const CONNECTIONS = 32;
/** Enough to know the rate by. */
const REDIS_TRIAL_REQUESTS = 5000;
const LEAST_SECONDS = 1;

function seconds(trial: Trial): number {
  // wrk takes whole ones.
  return Math.max(LEAST_SECONDS, Math.round(trial.seconds));
}

/** Starts a server where none listens, and waits until it does. */
async function serve({ lab, a }: Trial, port: number, command: string, args: () => readonly string[]): Promise<void> {
  const listens = () => listensOn(a.pid, port);
  if (listens()) return;
  await Program.start(lab, a.namespace, command, args()).until('a socket that listens', listens);
}

function nginxArguments(folder: string): readonly string[] {
  const [root, config] = [join(folder, 'www'), join(folder, 'nginx.conf')];
  mkdirSync(root);
  writeFileSync(join(root, 'index.html'), PAGE);
  writeFileSync(config, nginxConfig({ folder, root, pid: join(folder, 'nginx.pid') }));
  return ['-c', config, '-g', 'daemon off;'];
}

/** wrk on one thread, connections that stay open. */
async function nginx(trial: Trial): Promise<Measurement> {
  const { lab, b, addressOfA } = trial;
  await serve(trial, NGINX_PORT, 'nginx', () => nginxArguments(lab.folder));
  const url = `http://${addressOfA}:${NGINX_PORT}/`;
  const said = ask(b.namespace, 'wrk', ['-t', '1', '-c', String(CONNECTIONS), '-d', `${seconds(trial)}s`, '--latency', url]);
  const value = numberAfter(said, /Requests\/sec:\s+([\d.]+)/);
  const failed = /Socket errors: (.*)|Non-2xx or 3xx responses: (.*)/.exec(said);
  if (failed !== null) throw new Error(`wrk: ${failed[0]}`);
  const units = numberAfter(said, /(\d+) requests in/);
  return { value, units, details: { p50Micros: micros(said, '50%'), p99Micros: micros(said, '99%') } };
}

/** redis-benchmark: GET of 3 bytes; asked for a number of requests, which is found first. */
async function redis(trial: Trial): Promise<Measurement> {
  await serve(trial, REDIS_PORT, 'redis-server', () => REDIS_ARGUMENTS);
  const rate = redisRate(trial, REDIS_TRIAL_REQUESTS);
  const units = Math.round(rate * seconds(trial));
  return { value: redisRate(trial, units), units, details: { connections: CONNECTIONS } };
}

function redisRate({ b, addressOfA }: Trial, requests: number): number {
  const where = ['-h', addressOfA, '-p', String(REDIS_PORT)];
  const said = ask(b.namespace, 'redis-benchmark', [
    ...where,
    '-t',
    'get',
    '-c',
    String(CONNECTIONS),
    '-n',
    String(requests),
    '--csv',
  ]);
  return numberAfter(said, /"GET","([\d.]+)"/);
}

function numberAfter(text: string, pattern: RegExp): number {
  const found = pattern.exec(text);
  if (found === null) throw new Error(`cannot read ${JSON.stringify(text.trim().slice(0, 200))}`);
  return Number(found[1]);
}

const UNITS: Record<string, number> = { us: 1, ms: 1000, s: 1_000_000 };

/** A line of wrk's latency distribution: '     99%    1.20ms'. */
function micros(text: string, percentile: string): number {
  const found = new RegExp(`^\\s+${percentile}\\s+([\\d.]+)(us|ms|s)$`, 'm').exec(text);
  return found === null ? 0 : Number(found[1]) * UNITS[found[2]];
}

const COMMON = {
  family: 'requests',
  unit: 'requests/s',
  better: 'higher',
  layer: 3,
  nat: true,
  steps: 2,
} as const;

export const REQUESTS: readonly BenchType[] = [
  {
    ...COMMON,
    name: 'requests-nginx',
    what: `pages of 612 bytes from nginx inside, published, asked by wrk outside on ${CONNECTIONS} connections`,
    needs: [
      { command: 'wrk', package: 'wrk' },
      { command: 'nginx', package: 'nginx-light' },
    ],
    measure: nginx,
  },
  {
    ...COMMON,
    name: 'requests-redis',
    what: `GET from redis-server inside, published, asked by redis-benchmark outside on ${CONNECTIONS} connections`,
    needs: [
      { command: 'redis-benchmark', package: 'redis-tools' },
      { command: 'redis-server', package: 'redis-server' },
    ],
    measure: redis,
  },
];
