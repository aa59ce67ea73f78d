/** A daemon as it is operated: what it may do, whether it is well, what it tells Prometheus, what the doctor says. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KEPT_MASK } from '../../src/daemon/privileges.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { eventually, TestDaemon } from '../helpers/daemon.js';
import { readExposition } from '../helpers/exposition.js';
import { describeSystem } from '../helpers/requirements.js';

const KEPT = KEPT_MASK.toString(16).padStart(16, '0');
const GROUP = 54_321;

describeSystem('operations', ['root', 'tap'], () => {
  let lab: Lab;
  let host: LabNamespace;
  let a: LabHost;
  let b: LabHost;
  let daemon: TestDaemon;

  beforeAll(async () => {
    lab = Lab.create('tb-operations');
    host = lab.namespace('host');
    a = await lab.host('a');
    b = await lab.host('b');
    daemon = await TestDaemon.start(lab, host, '--group', String(GROUP));
    await daemon.client.createBridge({ name: 'tb0', subnet: '10.44.0.0/24' });
  });

  afterAll(async () => {
    await daemon?.close();
    await lab?.close();
  });

  /** What each thread of the daemon has, as text, each kind once. */
  function privileges(): string[] {
    const threads = readdirSync(`/proc/${daemon.pid}/task`);
    expect(threads.length).toBeGreaterThan(5);
    return [
      ...new Set(
        threads.map((thread) => {
          const status = readFileSync(`/proc/${daemon.pid}/task/${thread}/status`, 'latin1');
          const field = (name: string) => new RegExp(`^${name}:\\s*(\\w+)$`, 'm').exec(status)?.[1];
          return ['CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs'].map(field).join(' ');
        }),
      ),
    ];
  }

  describe('privileges', () => {
    test('every thread has what is documented, and can gain nothing; the process is the one that was started', async () => {
      expect(privileges()).toEqual([`${KEPT} ${KEPT} ${KEPT} 1`]);
      expect((await daemon.client.version()).pid).toBe(daemon.pid);
    });

    test('the socket is for its owner and the group, given without CAP_CHOWN', () => {
      const { mode, gid } = statSync(daemon.socket);
      expect([mode & 0o777, gid]).toEqual([0o660, GROUP]);
    });

    test('containers by the ids of their processes, with more rights than the daemon and of other users', async () => {
      const made: ChildProcess[] = [];
      try {
        for (const [port, ...user] of [['root'], ['other', 'setpriv', '--reuid', '12345', '--clear-groups']] as const) {
          const program = spawn('unshare', ['--net', ...user, 'sleep', '60'], { stdio: 'ignore' });
          made.push(program);
          const here = statSync('/proc/self/ns/net').ino;
          expect(
            await eventually(() => (statSync(`/proc/${program.pid}/ns/net`, { throwIfNoEntry: false })?.ino ?? here) !== here),
          ).toBe(true);
          // setpriv has given up its own rights by the time its program runs.
          const name = () => readFileSync(`/proc/${program.pid}/comm`, 'latin1').trim();
          expect(await eventually(() => name() === 'sleep')).toBe(true);
          const info = await daemon.client.attach('tb0', { port, pid: program.pid, ip: 'auto' });
          expect(info).toMatchObject({ state: 'up', interface: 'eth0' });
        }
        for (const port of ['root', 'other']) await daemon.client.detach('tb0', port);
      } finally {
        for (const program of made) {
          program.kill('SIGKILL');
          await once(program, 'close');
        }
      }
    });

    test('a port below 1024, captures, and the way between containers', async () => {
      await daemon.client.attach('tb0', { port: 'a', netns: a.namespace.path, ip: '10.44.0.2' });
      await daemon.client.attach('tb0', { port: 'b', netns: b.namespace.path, ip: '10.44.0.3' });
      const published = await daemon.client.publish('tb0', { hostPort: 80, port: 80, portName: 'a' });
      expect(published.listening).toBe(true);
      const capture = await daemon.client.capture('tb0', { count: 1 });
      const first = capture[Symbol.asyncIterator]().next();
      expect((await a.ping({ address: '10.44.0.3', count: 3 })).received).toBe(3);
      expect((await first).done).toBe(false);
      capture.close();
    });

    test('after a crash the next daemon, limited in the same way, goes on', async () => {
      await daemon.end('SIGKILL');
      await daemon.start('--group', String(GROUP), '--metrics', '127.0.0.1:9477');
      expect(privileges()).toEqual([`${KEPT} ${KEPT} ${KEPT} 1`]);
      expect((await daemon.client.listPorts('tb0')).map(({ name }) => name)).toEqual(['tb0', 'a', 'b']);
      expect((await a.ping({ address: '10.44.0.3', count: 3 })).received).toBe(3);
    });
  });

  describe('health and metrics', () => {
    /** From a process inside the daemon's namespace. */
    function overTcp(path: string, method = 'GET'): { status: number; type: string; text: string } {
      const script = `const answer = await fetch('http://127.0.0.1:9477${path}', { method: '${method}' });
        const type = answer.headers.get('content-type');
        console.log(JSON.stringify({ status: answer.status, type, text: await answer.text() }));`;
      const args = ['--input-type=module', '-e', script];
      const { stdout, stderr } = host.inside(() => spawnSync(process.execPath, args, { encoding: 'utf8' }));
      expect(stderr).toBe('');
      return JSON.parse(stdout);
    }

    test('a daemon at work is well; a bridge that finds no way out is worth a look', async () => {
      const health = await daemon.client.health();
      expect(health.checks.map(({ name, status }) => `${name} ${status}`)).toEqual(['engine ok', 'state ok', 'gateway warn']);
      expect(health.status).toBe('warn');
      await daemon.client.unpublish('tb0', { hostPort: 80 });
      await daemon.client.changeBridge('tb0', { uplink: 'none' });
      expect((await daemon.client.health()).status).toBe('ok');
    });

    test('a state directory that cannot be written is a failure: 503, and the doctor names it', async () => {
      chmodSync(daemon.state, 0o500);
      try {
        const health = await daemon.client.health();
        expect(health.status).toBe('fail');
        expect(health.checks.find(({ name }) => name === 'state')?.message).toMatch(/cannot be recorded: .*EACCES/);
        expect(overTcp('/healthz').status).toBe(503);
        const doctor = await daemon.cli('doctor', '--state', daemon.state, '--json');
        expect(doctor.status).toBe(1);
        const { status, findings } = JSON.parse(doctor.stdout) as {
          status: string;
          findings: { status: string; found: string }[];
        };
        expect(status).toBe('fail');
        expect(findings.filter((each) => each.status === 'fail').map(({ found }) => found)).toEqual([
          expect.stringMatching(/^state: changes cannot be recorded/),
        ]);
      } finally {
        chmodSync(daemon.state, 0o700);
      }
      expect(overTcp('/healthz').status).toBe(200);
    });

    test('metrics over TCP, as a strict reader takes them, and nothing else there', async () => {
      const { status, type, text } = overTcp('/metrics');
      expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
      const families = readExposition(text);
      const ports = families.get('tapbridge_port_up')?.samples.map(({ labels, value }) => `${labels['port']} ${value}`);
      expect(ports).toEqual(['tb0 1', 'a 1', 'b 1']);
      const frames = families.get('tapbridge_port_frames_total')?.samples.find(({ labels }) => labels['port'] === 'a');
      expect(frames?.value).toBeGreaterThanOrEqual(3);
      expect(families.get('tapbridge_engine_answers')?.samples[0].value).toBe(1);
      expect(families.get('tapbridge_engine_passes_total')?.samples[0].value).toBeGreaterThan(0);
      expect(overTcp('/v1/bridges').status).toBe(404);
      expect(overTcp('/metrics', 'DELETE').status).toBe(405);
    });

    test('the doctor finds a daemon in order', async () => {
      const { status, stdout } = await daemon.cli('doctor', '--state', daemon.state);
      expect(stdout).toMatch(/^ok +daemon +engine: it turns$/m);
      expect(stdout).toMatch(/^ok +kernel +TAPs with vnet header/m);
      expect(stdout).not.toMatch(/^fail/m);
      expect(status).toBe(0);
    });
  });

  describe('what it refuses to read', () => {
    test('a configuration others may write, unless that is wanted', async () => {
      const config = join(daemon.folder, 'open.yaml');
      writeFileSync(config, 'metrics: nowhere\n');
      chmodSync(config, 0o666);
      const paths = ['--socket', join(daemon.folder, 'other.sock'), '--state', join(daemon.folder, 'other')];
      const refused = await daemon.startSecond('--config', config, ...paths);
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain(`the configuration is refused: ${config} may be written by others (mode 0666)`);
      expect(refused.stderr).toContain(`"chmod go-w ${config}" mends it`);
      // Taken as it is, its content is what is wrong.
      const taken = await daemon.startSecond('--config', config, '--insecure-config', ...paths);
      expect(taken.status).toBe(1);
      expect(taken.stderr).toContain('"nowhere" is no address to serve metrics at');
    });

    test('a state directory others may write', async () => {
      const state = join(daemon.folder, 'open-state');
      const paths = ['--socket', join(daemon.folder, 'other.sock'), '--state', state];
      expect((await daemon.cli('doctor', '--state', state)).status).toBe(0);
      mkdirSync(state);
      chmodSync(state, 0o1777);
      const refused = await daemon.startSecond(...paths);
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain(`${state} may be written by others (mode 1777)`);
      const doctor = await daemon.cli('doctor', '--state', state);
      expect(doctor.status).toBe(1);
      expect(doctor.stdout).toContain(`chmod go-w ${state}`);
    });
  });
});
