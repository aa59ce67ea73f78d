/** uplinks */
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { printJson, printTable } from './output.js';

export function uplinksCommand(): Command {
  return clientCommand('uplinks', 'list the interfaces bridges reach the outside through')
    .option('--json', 'print them as JSON, with what each counted')
    .addHelpText(
      'after',
      `
GUARD says what keeps translated traffic from the host's own stack: ebpf, ebpf-tc (an eBPF classifier), or classic
(a direct-action classifier without eBPF, where the kernel refuses it).`,
    )
    .action((options: ClientOptions) =>
      withClient('uplinks', options, async (client) => {
        const uplinks = await client.listUplinks();
        if (options.json) return printJson(uplinks);
        await printTable(
          [
            { title: 'INTERFACE' },
            { title: 'STATE' },
            { title: 'ADDRESS' },
            { title: 'MTU', align: 'right' },
            { title: 'GUARD' },
            { title: 'BRIDGES' },
          ],
          uplinks.map((uplink) => [
            uplink.interface,
            uplink.state,
            uplink.addresses.join(','),
            uplink.mtu,
            uplink.guard,
            uplink.bridges.join(','),
          ]),
        );
      }),
    );
}
