/** flows watch, flows flush */
import { Command } from 'commander';
import type { Client, FlowWatch } from '../client/client.js';
import type { FlowEvent, FlowQuery } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { type FilterOptions, flowQuery, withFilterOptions } from './flow-filter.js';
import { eventLine } from './flow-text.js';
import { print } from './output.js';
import { askPortNames, type PortNames } from './port-names.js';

type Options = ClientOptions & FilterOptions;

export function flowsCommand(): Command {
  return new Command('flows')
    .description('watch flows through the gateway, or end them; "show BRIDGE flows" lists them')
    .addCommand(watchCommand())
    .addCommand(flushCommand());
}

function watchCommand(): Command {
  const command = clientCommand('watch', 'print flows as they begin, change and end; Ctrl-C ends it').argument(
    '[bridge]',
    'all there are without it',
  );
  return withFilterOptions(command)
    .option('--json', 'print each event as a line of JSON')
    .addHelpText(
      'after',
      `
  tapbridge flows watch tb0 --proto tcp
  tapbridge flows watch --json | jq -r 'select(.event == "destroy") | .reason'`,
    )
    .action((bridge: string | undefined, options: Options) =>
      withClient(`flows watch${bridge === undefined ? '' : ` ${bridge}`}`, options, async (client) => {
        await watch(client, bridge, flowQuery(options), options.json === true);
      }),
    );
}

function flushCommand(): Command {
  const command = clientCommand('flush', 'end flows: those that match, or all of the bridge').argument('<bridge>');
  return withFilterOptions(command)
    .option('--json', 'print the number as JSON')
    .addHelpText(
      'after',
      `
What goes on sending opens new flows, where it may.

  tapbridge flows flush tb0 --container web
  tapbridge flows flush tb0 --proto udp --port 53`,
    )
    .action((bridge: string, options: Options) =>
      withClient(`flows flush ${bridge}`, options, async (client) => {
        const ended = await client.flushFlows(bridge, flowQuery(options));
        await print(
          options.json === true ? `${JSON.stringify({ ended })}\n` : `${ended} ${ended === 1 ? 'flow' : 'flows'} ended\n`,
        );
      }),
    );
}

async function watch(client: Client, bridge: string | undefined, query: FlowQuery, json: boolean): Promise<void> {
  const bridges = bridge === undefined ? (await client.listBridges()).map(({ name }) => name) : [bridge];
  if (bridges.length === 0) throw Object.assign(new Error('there is no bridge'), { hint: 'make one: tapbridge create NAME' });
  const watches: { started: FlowWatch; names: PortNames }[] = [];
  let ended = false;
  const close = (): void => {
    ended = true;
    for (const { started } of watches) started.close();
  };
  process.on('SIGINT', close);
  process.on('SIGTERM', close);
  process.stdout.on('error', close);
  try {
    for (const name of bridges) {
      const names: PortNames = json ? (port) => port : await askPortNames(client, name);
      const started = await client.watchFlows(name, query);
      // Interrupted meanwhile.
      if (ended) return started.close();
      watches.push({ started, names });
    }
    if (process.stderr.isTTY === true) process.stderr.write(`watching flows of ${bridges.join(', ')}, Ctrl-C ends it\n`);
    await Promise.all(watches.map(({ started, names }) => printEvents(started, json, names)));
  } finally {
    close();
    process.off('SIGINT', close);
    process.off('SIGTERM', close);
    process.stdout.off('error', close);
  }
}

/** @param names of ports there were at the start, in lines */
async function printEvents(events: FlowWatch, json: boolean, names: PortNames): Promise<void> {
  for await (const bunch of events) {
    let text = '';
    for (const event of bunch) text += `${json ? JSON.stringify(event) : eventLine(withNames(event, names))}\n`;
    await print(text);
  }
}

function withNames(event: FlowEvent, names: PortNames): FlowEvent {
  const { flow } = event;
  return flow === undefined || flow.port === null ? event : { ...event, flow: { ...flow, port: names(flow.port) } };
}
