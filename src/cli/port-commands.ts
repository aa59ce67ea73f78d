/** attach, detach */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { AttachPort, PortInfo } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { UsageError } from './failure.js';
import { labelText } from './label-text.js';
import { print, printJson, withProgress } from './output.js';
import { ratesGiven } from './rates.js';
import { egressAddress, factor, wholeNumber } from './values.js';

const SOURCES = '--container, --netns, --pid, --iface, --capture and --replay';

interface AttachOptions extends ClientOptions {
  container?: string;
  netns?: string;
  pid?: string;
  iface?: string;
  capture?: string;
  replay?: string;
  speed?: string;
  loop?: boolean;
  ifname?: string;
  ip?: string;
  mac?: string;
  mtu?: string;
  isolated?: boolean;
  locked?: boolean;
  egress?: string;
  rateIn?: string;
  burstIn?: string;
  rateOut?: string;
  burstOut?: string;
}

export function attachCommand(): Command {
  return clientCommand('attach', 'connect a container, a namespace, an interface or a file to a bridge')
    .argument('<bridge>')
    .argument('<port>', 'name of the new port')
    .option('--container <name|id>', 'a running container of Docker or podman; docker:NAME and podman:NAME say whose')
    .option('--netns <name|path>', 'a network namespace: its name in /run/netns, or a path')
    .option('--pid <pid>', 'the network namespace of a process')
    .option('--iface <interface>', 'an interface of the host: a veth end, a network card')
    .option('--capture <file>', 'a new file that gets what the bridge sends this port: pcap when it is named so, else pcapng')
    .option('--replay <file>', 'a pcap file whose frames enter the bridge')
    .option('--speed <factor>', 'of a replay: 2 is twice as fast, 0 as fast as the bridge takes them (default: 1, as recorded)')
    .option('--loop', 'a replay starts over at its end')
    .option('--ifname <name>', 'name of the interface inside of the namespace (default: eth0)')
    .option('--ip <cidr|auto>', 'address of the interface; auto: the next free one of the subnet')
    .option('--mac <mac>', 'default: made of the address; without one random')
    .option('--mtu <bytes>', "default: the bridge's")
    .option('--isolated', 'no traffic to other isolated ports')
    .option('--locked', 'nothing but its own MAC may send')
    .option('--egress <ip>', 'what its flows are translated to on the way out (default: as the bridge has it)')
    .option('--rate-in <rate>', 'what it gets at most: 64kbit, 10mbit, 1.5gbit')
    .option('--burst-in <bytes>', 'what it may get at once: 128k, 1m (default: 5 ms of the rate, at least 128k)')
    .option('--rate-out <rate>', 'what it sends at most')
    .option('--burst-out <bytes>', 'what it may send at once')
    .option('--json', 'print the port as JSON')
    .addHelpText(
      'after',
      `
Exactly one of ${SOURCES} says what is attached.

  docker run -d --network none --name web nginx
  tapbridge attach tb0 web --container web --ip auto`,
    )
    .action((bridge: string, port: string, options: AttachOptions) =>
      withClient(`attach ${port}`, options, async (client) => {
        const request = attachRequest(port, options);
        if (options.container !== undefined) {
          const { findContainer } = await import('./named-container.js');
          Object.assign(request, await findContainer(options.container));
        }
        const attached = await withProgress(`attaching ${port}`, client.attach(bridge, request));
        if (options.json) return printJson(attached);
        await print(`${port} attached to ${bridge}: ${whatIsBehind(attached)}\n`);
      }),
    );
}

export function detachCommand(): Command {
  return clientCommand('detach', 'disconnect a port from its bridge')
    .argument('<bridge>')
    .argument('<port>')
    .action((bridge: string, port: string, options: ClientOptions) =>
      withClient(`detach ${port}`, options, async (client) => {
        await withProgress(`detaching ${port}`, client.detach(bridge, port));
        await print(`${port} detached from ${bridge}\n`);
      }),
    );
}

function whatIsBehind({ kind, file, netns, pid, container, ip, interface: name }: PortInfo): string {
  if (kind === 'capture') return `written to ${file}`;
  if (kind === 'replay') return `replayed from ${file}`;
  const inside = container === null ? netns : `container ${labelText(container)}`;
  const where = inside ?? (pid === null ? 'the host' : `process ${pid}`);
  return `${name} in ${where}${ip === null ? '' : ` with ${ip}`}`;
}

/** A container is not in it: its engine has to be asked. @throws UsageError */
export function attachRequest(port: string, options: AttachOptions): AttachPort {
  const {
    container,
    netns,
    pid,
    iface,
    capture,
    replay,
    speed,
    loop = false,
    ifname,
    ip,
    mac,
    mtu,
    isolated,
    locked,
    egress,
  } = options;
  if ([container, netns, pid, iface, capture, replay].filter((given) => given !== undefined).length !== 1) {
    throw new UsageError(`exactly one of ${SOURCES} must be given`, 'see tapbridge attach --help');
  }
  if (replay === undefined && (speed !== undefined || loop)) {
    throw new UsageError('--speed and --loop are of a replay', 'add --replay FILE, or leave them out');
  }
  const flags = { isolated, locked };
  return {
    port,
    // The daemon has another working directory; so with the files below.
    netns: netns?.includes('/') ? resolve(netns) : netns,
    pid: pid === undefined ? undefined : wholeNumber('--pid', pid),
    iface,
    capture: capture === undefined ? undefined : captureInto(capture),
    replay:
      replay === undefined
        ? undefined
        : { path: resolve(replay), speed: speed === undefined ? 1 : factor('--speed', speed), loop },
    ifname,
    ip,
    mac,
    mtu: mtu === undefined ? undefined : wholeNumber('--mtu', mtu),
    flags: isolated || locked ? flags : undefined,
    egressAddress: egress === undefined ? undefined : egressAddress('--egress', egress),
    rates: ratesGiven(
      {
        'rate-in': options.rateIn,
        'burst-in': options.burstIn,
        'rate-out': options.rateOut,
        'burst-out': options.burstOut,
      },
      '--',
    ),
  };
}

function captureInto(path: string): NonNullable<AttachPort['capture']> {
  return { path: resolve(path), format: path.endsWith('.pcap') ? 'pcap' : 'pcapng' };
}
