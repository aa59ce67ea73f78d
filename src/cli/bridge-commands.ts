/** create, rm, ls */
import type { Command } from 'commander';
import type { CreateBridge } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { labelText } from './label-text.js';
import { print, printJson, printTable, withProgress } from './output.js';
import { egressAddress, mssClamp, onOff, wholeNumber } from './values.js';

interface CreateOptions extends ClientOptions {
  subnet?: string;
  gateway?: string;
  mtu?: string;
  ageing?: string;
  fdbLimit?: string;
  arpProxy?: string;
  uplink?: string;
  internal?: boolean;
  icc?: boolean;
  egress?: string;
  mssClamp?: string;
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
    .option(
      '--uplink <interface|auto|none>',
      'the way out; auto: by the default routes of the host (default: auto with a subnet)',
    )
    .option('--internal', 'no way to the outside, and none from there')
    .option('--no-icc', 'containers do not reach each other, but by published ports')
    .option('--egress <ip>', "what flows are translated to (default: the uplink's address, as it changes)")
    .option('--mss-clamp <auto|on|off>', "lower TCP's MSS to what the uplink takes (default: auto, where its MTU is smaller)")
    .option('--json', 'print the bridge as JSON')
    .addHelpText(
      'after',
      `
  tapbridge create tb0 --subnet 10.1.0.0/24
  tapbridge create lan --subnet 10.2.0.0/24 --uplink eth0,eth1 --egress 192.0.2.7
  tapbridge create db --subnet 10.3.0.0/24 --internal`,
    )
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
          uplink: options.uplink,
          internal: options.internal,
          // Commander says true without the option.
          icc: options.icc === false ? false : undefined,
          egressAddress: options.egress === undefined ? undefined : egressAddress('--egress', options.egress),
          mssClamp: options.mssClamp === undefined ? undefined : mssClamp('--mss-clamp', options.mssClamp),
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
            { title: 'NETWORK' },
            { title: 'SUBNET' },
            { title: 'GATEWAY' },
            { title: 'MAC' },
            { title: 'MTU', align: 'right' },
            { title: 'PORTS', align: 'right' },
          ],
          bridges.map(({ name, network, subnet, gateway, mac, mtu, ports }) => {
            const label = network === null ? null : labelText(network);
            return [name, label, subnet, gateway, mac, mtu, ports];
          }),
        );
      }),
    );
}

function number(option: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber(option, text);
}
