/** fdb add|del|flush, neighbor add|del */
import { Command } from 'commander';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { print } from './output.js';
import { wholeNumber } from './values.js';

interface VlanOptions extends ClientOptions {
  vlan?: string;
}

export function fdbCommand(): Command {
  const group = new Command('fdb').description('pin MACs to ports, or forget what was learned');
  group.addCommand(
    clientCommand('add', 'pin a MAC to a port')
      .argument('<bridge>')
      .argument('<mac>')
      .argument('<port>')
      .option('--vlan <id>', 'of tagged frames (default: untagged)')
      .action((bridge: string, mac: string, port: string, options: VlanOptions) =>
        withClient(`fdb add ${mac}`, options, async (client) => {
          await client.addFdb(bridge, { mac, port, vlan: vlanOf(options) });
          await print(`${mac} pinned to ${port}\n`);
        }),
      ),
  );
  group.addCommand(
    clientCommand('del', 'remove one entry')
      .argument('<bridge>')
      .argument('<mac>')
      .option('--vlan <id>', 'of tagged frames (default: untagged)')
      .action((bridge: string, mac: string, options: VlanOptions) =>
        withClient(`fdb del ${mac}`, options, async (client) => {
          await client.removeFdb(bridge, mac, vlanOf(options));
          await print(`${mac} removed\n`);
        }),
      ),
  );
  group.addCommand(
    clientCommand('flush', 'forget what was learned; pinned entries stay')
      .argument('<bridge>')
      .action((bridge: string, options: ClientOptions) =>
        withClient(`fdb flush ${bridge}`, options, async (client) => {
          await print(`${await client.flushFdb(bridge)} entries forgotten\n`);
        }),
      ),
  );
  return group;
}

export function neighborCommand(): Command {
  const group = new Command('neighbor').description('enter addresses the bridge answers ARP for');
  group.addCommand(
    clientCommand('add', 'enter a neighbor')
      .argument('<bridge>')
      .argument('<ip>')
      .argument('<mac>')
      .action((bridge: string, ip: string, mac: string, options: ClientOptions) =>
        withClient(`neighbor add ${ip}`, options, async (client) => {
          await client.addNeighbor(bridge, { ip, mac });
          await print(`${ip} entered with ${mac}\n`);
        }),
      ),
  );
  group.addCommand(
    clientCommand('del', 'remove a neighbor')
      .argument('<bridge>')
      .argument('<ip>')
      .action((bridge: string, ip: string, options: ClientOptions) =>
        withClient(`neighbor del ${ip}`, options, async (client) => {
          await client.removeNeighbor(bridge, ip);
          await print(`${ip} removed\n`);
        }),
      ),
  );
  return group;
}

function vlanOf(options: VlanOptions): number | undefined {
  return options.vlan === undefined ? undefined : wholeNumber('--vlan', options.vlan);
}
