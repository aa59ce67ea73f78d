/** create, rm, ls */
import type { Command } from 'commander';
import type { CreateBridge } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { print, printJson, printTable, withProgress } from './output.js';
import { onOff, wholeNumber } from './values.js';

interface CreateOptions extends ClientOptions {
  subnet?: string;
  gateway?: string;
  mtu?: string;
  ageing?: string;
  fdbLimit?: string;
  arpProxy?: string;
}

export function createCommand(): Command {
  return clientCommand('create', 'make a bridge and its interface on the host')
    .argument('<bridge>', 'name of the bridge and of the interface, up to 15 bytes')
    .option('--subnet <cidr>', 'addresses of the bridge, e.g. 10.1.0.0/24; without it the host port has no address')
    .option('--gateway <ip>', "the host port's address (default: the first of the subnet)")
    .option('--mtu <bytes>', 'default: 1500')
    .option('--ageing <seconds>', 'how long a MAC is remembered (default: 300; 0: never learn)')
    .option('--fdb-limit <macs>', 'MACs remembered at most (default: 65536)')
    .option('--arp-proxy <on|off>', 'whether the bridge answers ARP itself (default: on)')
    .option('--json', 'print the bridge as JSON')
    .action((name: string, options: CreateOptions) =>
      withClient(`create ${name}`, options, async (client) => {
        const request: CreateBridge = {
          name,
          subnet: options.subnet,
          gateway: options.gateway,
          mtu: number('--mtu', options.mtu),
          ageingSeconds: number('--ageing', options.ageing),
          fdbLimit: number('--fdb-limit', options.fdbLimit),
          arpProxy: options.arpProxy === undefined ? undefined : onOff('--arp-proxy', options.arpProxy),
        };
        const bridge = await client.createBridge(request);
        if (options.json) return printJson(bridge);
        const address = bridge.subnet === null ? '' : ` with ${bridge.gateway} of ${bridge.subnet}`;
        await print(`${bridge.name} created${address}\n`);
      }),
    );
}

export function removeCommand(): Command {
  return clientCommand('rm', 'remove a bridge and all its ports')
    .argument('<bridge>')
    .action((name: string, options: ClientOptions) =>
      withClient(`rm ${name}`, options, async (client) => {
        await withProgress(`removing ${name}`, client.removeBridge(name));
        await print(`${name} removed\n`);
      }),
    );
}

export function listCommand(): Command {
  return clientCommand('ls', 'list the bridges')
    .option('--json', 'print them as JSON')
    .action((options: ClientOptions) =>
      withClient('ls', options, async (client) => {
        const bridges = await client.listBridges();
        if (options.json) return printJson(bridges);
        await printTable(
          [
            { title: 'BRIDGE' },
            { title: 'SUBNET' },
            { title: 'GATEWAY' },
            { title: 'MAC' },
            { title: 'MTU', align: 'right' },
            { title: 'PORTS', align: 'right' },
          ],
          bridges.map(({ name, subnet, gateway, mac, mtu, ports }) => [name, subnet, gateway, mac, mtu, ports]),
        );
      }),
    );
}

function number(option: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber(option, text);
}
