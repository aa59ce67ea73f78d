/** publish, unpublish, publishes */
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { labelText } from './label-text.js';
import { print, printJson, printTable } from './output.js';
import { containerSideText, hostSideText, parsePublish, parseUnpublish } from './published.js';

export function publishCommand(): Command {
  return clientCommand('publish', 'lead ports of the host to a container')
    .argument('<bridge>')
    .argument('<ports>', '[HOSTIP:]HOSTPORT[-END]:PORT[-END][/tcp|/udp]; tcp when not said otherwise')
    .argument('<port>', 'name of the port the container is behind')
    .option('--json', 'print the publish as JSON')
    .addHelpText(
      'after',
      `
  tapbridge publish tb0 8080:80 web
  tapbridge publish tb0 192.0.2.7:53:53/udp dns      only at this address of the host
  tapbridge publish tb0 30000-30999:30000-30999/udp media`,
    )
    .action((bridge: string, ports: string, portName: string, options: ClientOptions) =>
      withClient(`publish ${ports}`, options, async (client) => {
        const published = await client.publish(bridge, parsePublish(ports, portName));
        if (options.json) return printJson(published);
        await print(`${hostSideText(published)} leads to ${portName} at ${containerSideText(published)}\n`);
      }),
    );
}

export function unpublishCommand(): Command {
  return clientCommand('unpublish', 'end a publish and its flows')
    .argument('<bridge>')
    .argument('<ports>', '[HOSTIP:]HOSTPORT[-END][/udp], as "show BRIDGE publishes" lists it')
    .addHelpText(
      'after',
      `
  tapbridge unpublish tb0 8080
  tapbridge unpublish tb0 192.0.2.7:53/udp`,
    )
    .action((bridge: string, ports: string, options: ClientOptions) =>
      withClient(`unpublish ${ports}`, options, async (client) => {
        await client.unpublish(bridge, parseUnpublish(ports));
        await print(`${ports} no longer leads anywhere\n`);
      }),
    );
}

export function publishesCommand(): Command {
  return clientCommand('publishes', 'list the published ports of all bridges, those of Docker and CNI among them')
    .argument('[bridge]', 'only those of this bridge or network')
    .option('--json', 'print them as JSON')
    .action((bridge: string | undefined, options: ClientOptions) =>
      withClient('publishes', options, async (client) => {
        const bridges = bridge === undefined ? await client.listBridges() : [await client.getBridge(bridge)];
        const lists = await Promise.all(bridges.map(({ name }) => client.listPublishes(name)));
        if (options.json) return printJson(lists.flat());
        await printTable(
          [{ title: 'HOST' }, { title: 'CONTAINER' }, { title: 'ADDRESS' }, { title: 'NETWORK' }, { title: 'LISTENER' }],
          lists.flatMap((publishes, at) =>
            publishes.map((publish) => [
              hostSideText(publish),
              publish.container === null ? publish.portName : labelText(publish.container),
              containerSideText(publish),
              bridges[at].network === null ? bridges[at].name : labelText(bridges[at].network),
              publish.listening ? 'yes' : 'no',
            ]),
          ),
        );
      }),
    );
}
