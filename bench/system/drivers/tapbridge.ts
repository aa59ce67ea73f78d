import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../../../dist/client/client.js';
import type { Lab } from '../../../dist/lab/lab.js';
import { A, B, type Driver, SUBNET } from '../driver.js';

const START_MILLIS = 10_000;
const BRIDGE = 'tb0';
const GATEWAY = '198.18.0.254';

/** Our bridge as delivered: the daemon, a bridge, two containers attached. The daemon's host is a namespace of the lab. */
export const tapbridge: Driver = {
  name: 'tapbridge',
  what: 'tapbridge daemon, a TAP per host, defaults',
  async connect(lab, a, b) {
    const folder = mkdtempSync(join(tmpdir(), 'tbbench-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    const client = connect(join(folder, 'socket'));
    await startDaemon(lab, client.socketPath, join(folder, 'state'), () => client.version());
    await client.createBridge({ name: BRIDGE, subnet: SUBNET, gateway: GATEWAY });
    await client.attach(BRIDGE, { port: 'a', netns: a.netnsPath, ip: A });
    await client.attach(BRIDGE, { port: 'b', netns: b.netnsPath, ip: B });
  },
};

async function startDaemon(lab: Lab, socket: string, state: string, ask: () => Promise<unknown>): Promise<void> {
  const script = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
  const args = ['daemon', '--socket', socket, '--state', state, '--log-level', 'warn'];
  const daemon = lab.run(lab.namespace('daemon'), script, args, { stdio: 'pipe' });
  let said = '';
  for (const stream of [daemon.stdout, daemon.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  const deadline = performance.now() + START_MILLIS;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (daemon.exitCode !== null) throw new Error(`the daemon ended with status ${daemon.exitCode}: ${said.trim()}`);
      if (performance.now() > deadline) throw new Error(`the daemon does not answer: ${said.trim()}`, { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
