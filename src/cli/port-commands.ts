/** attach, detach */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { AttachPort } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { UsageError } from './failure.js';
import { print, printJson, withProgress } from './output.js';
import { wholeNumber } from './values.js';

interface AttachOptions extends ClientOptions {
  netns?: string;
  pid?: string;
  iface?: string;
  ifname?: string;
  ip?: string;
  mac?: string;
  mtu?: string;
  isolated?: boolean;
  locked?: boolean;
}

export function attachCommand(): Command {
  return clientCommand('attach', 'connect a container, a namespace or an interface to a bridge')
    .argument('<bridge>')
    .argument('<port>', 'name of the new port')
    .option('--netns <name|path>', 'a network namespace: its name in /run/netns, or a path')
    .option('--pid <pid>', 'the network namespace of a process')
    .option('--iface <interface>', 'an interface of the host: a veth end, a network card')
    .option('--ifname <name>', 'name of the interface inside of the namespace (default: eth0)')
    .option('--ip <cidr|auto>', 'address of the interface; auto: the next free one of the subnet')
    .option('--mac <mac>', 'default: a random one')
    .option('--mtu <bytes>', "default: the bridge's")
    .option('--isolated', 'no traffic to other isolated ports')
    .option('--locked', 'nothing but its own MAC may send')
    .option('--json', 'print the port as JSON')
    .addHelpText('after', '\nExactly one of --netns, --pid and --iface says what is attached.')
    .action((bridge: string, port: string, options: AttachOptions) =>
      withClient(`attach ${port}`, options, async (client) => {
        const attached = await withProgress(`attaching ${port}`, client.attach(bridge, attachRequest(port, options)));
        if (options.json) return printJson(attached);
        const where = attached.netns ?? (attached.pid === null ? 'the host' : `process ${attached.pid}`);
        const address = attached.ip === null ? '' : ` with ${attached.ip}`;
        await print(`${port} attached to ${bridge}: ${attached.interface} in ${where}${address}\n`);
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

/** @throws UsageError */
export function attachRequest(port: string, options: AttachOptions): AttachPort {
  const { netns, pid, iface, ifname, ip, mac, mtu, isolated, locked } = options;
  if ([netns, pid, iface].filter((given) => given !== undefined).length !== 1) {
    throw new UsageError('exactly one of --netns, --pid and --iface must be given', 'see tapbridge attach --help');
  }
  const flags = { isolated, locked };
  return {
    port,
    // The daemon has another working directory.
    netns: netns?.includes('/') ? resolve(netns) : netns,
    pid: pid === undefined ? undefined : wholeNumber('--pid', pid),
    iface,
    ifname,
    ip,
    mac,
    mtu: mtu === undefined ? undefined : wholeNumber('--mtu', mtu),
    flags: isolated || locked ? flags : undefined,
  };
}
