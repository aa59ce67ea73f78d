/** tapbridge as the gateway of a lab: a daemon of the last build in the host's namespace, whose kernel forwards nothing itself. */
import type { ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../client/client.js';
import { writeSysctl } from '../netlink/sysctl.js';
import { compiledModule } from './compiled.js';
import { GATEWAY_ADDRESS, GATEWAY_BRIDGE, type GatewayDriver, INSIDE_SUBNET, type PublishRequest } from './gateway-driver.js';
import type { Lab } from './lab.js';
import type { LabHost } from './lab-host.js';

const START_MILLIS = 15_000;
const LOOK_MILLIS = 10;

export class TapbridgeGateway implements GatewayDriver {
  readonly name = 'tapbridge';
  private readonly options: readonly string[];
  private daemon: ChildProcess | undefined;
  private opened: Client | undefined;
  private run: (script: string, args: string[]) => ChildProcess = () => {
    throw new Error('the gateway is not open');
  };
  /** JSON lines. */
  log = '';

  /** @param options of `tapbridge daemon` */
  constructor(options: readonly string[] = []) {
    this.options = options;
  }

  get client(): Client {
    if (this.opened === undefined) throw new Error('the gateway is not open');
    return this.opened;
  }

  get processes(): readonly number[] {
    return this.daemon?.pid === undefined ? [] : [this.daemon.pid];
  }

  async open(lab: Lab, host: LabHost, { mtu }: { mtu: number }): Promise<void> {
    // A new namespace may inherit the setting of the machine.
    host.namespace.inside(() => writeSysctl('net/ipv4/ip_forward', 0));
    this.opened = new Client(join(lab.folder, 'gateway.sock'));
    this.run = (script, args) => lab.run(host.namespace, script, args, { stdio: 'pipe' });
    await this.startDaemon();
    await this.client.createBridge({
      name: GATEWAY_BRIDGE,
      subnet: INSIDE_SUBNET,
      gateway: GATEWAY_ADDRESS,
      uplink: 'auto',
      mtu,
    });
  }

  /** Starts the daemon, again after `endDaemon`, on the same state. @throws Error with its log */
  async startDaemon(): Promise<void> {
    const { socketPath } = this.client;
    const state = join(dirname(socketPath), 'state');
    const args = ['daemon', '--socket', socketPath, '--state', state, '--log-level', 'warn', ...this.options];
    const daemon = this.run(compiledModule('../cli/main.js'), args);
    for (const stream of [daemon.stdout, daemon.stderr]) stream?.on('data', (chunk: Buffer) => (this.log += chunk.toString()));
    this.daemon = daemon;
    await this.answers(daemon, this.client);
  }

  /** Ends the daemon and waits for its end. */
  endDaemon(signal: NodeJS.Signals): Promise<void> {
    const { daemon } = this;
    return new Promise((resolve) => {
      if (daemon === undefined) return resolve();
      daemon.once('close', () => resolve());
      daemon.kill(signal);
    });
  }

  async attach(container: LabHost, address: string): Promise<void> {
    await this.client.attach(GATEWAY_BRIDGE, { port: container.name, netns: container.netnsPath, ip: address });
  }

  async publish(request: PublishRequest): Promise<void> {
    const { container, port = request.hostPort } = request;
    await this.client.publish(GATEWAY_BRIDGE, { ...hostSide(request), port, portName: container.name });
  }

  async unpublish(request: PublishRequest): Promise<void> {
    await this.client.unpublish(GATEWAY_BRIDGE, hostSide(request));
  }

  private async answers(daemon: ChildProcess, client: Client): Promise<void> {
    const deadline = performance.now() + START_MILLIS;
    for (;;) {
      if (await client.version().catch(() => undefined)) return;
      if (daemon.exitCode !== null || daemon.signalCode !== null) throw new Error(`the daemon ended: ${this.log}`);
      if (performance.now() > deadline) throw new Error(`the daemon does not answer: ${this.log}`);
      await sleep(LOOK_MILLIS);
    }
  }
}

function hostSide({ protocol, hostPort, hostPortEnd = hostPort, hostAddress }: PublishRequest) {
  return { protocol, hostPort, hostPortEnd, ...(hostAddress === undefined ? {} : { hostAddress }) };
}
