/** show BRIDGE [ports|fdb|neighbors|publishes|flows|gateway|counters] */
import { Argument, type Command } from 'commander';
import type { Client } from '../client/client.js';
import type { BridgeInfo } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { type FilterOptions, flowQuery, refuseFilter, withFilterOptions } from './flow-filter.js';
import { print, printJson, printTitle } from './output.js';
import { printFlows } from './show-flows.js';
import { gatewayLine, showGateway } from './show-gateway.js';
import * as tables from './show-tables.js';

const PARTS = ['ports', 'fdb', 'neighbors', 'publishes', 'flows', 'gateway', 'counters'] as const;
type Part = (typeof PARTS)[number];

type Options = ClientOptions & FilterOptions;

export function showCommand(): Command {
  const command = clientCommand('show', 'show what a bridge has, knows and counted')
    .argument('<bridge>')
    .addArgument(new Argument('[part]', 'a summary of all without it').choices(PARTS));
  return withFilterOptions(command)
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      `
  tapbridge show tb0
  tapbridge show tb0 flows --container web --proto tcp
  tapbridge show tb0 flows --address 198.51.100.0/24 --json
  tapbridge show tb0 gateway                         counters and drops of NAT, use of its tables`,
    )
    .action((bridge: string, part: Part | undefined, options: Options) =>
      withClient(`show ${bridge}`, options, async (client) => {
        if (part !== 'flows') refuseFilter(options);
        if (part === undefined) await showAll(client, bridge, options.json === true);
        else await showPart(client, bridge, part, options);
      }),
    );
}

async function showPart(client: Client, bridge: string, part: Part, options: Options): Promise<void> {
  const json = options.json === true;
  if (part === 'ports') await show(await client.listPorts(bridge), json, tables.printPorts);
  else if (part === 'fdb') await show(await client.listFdb(bridge), json, tables.printFdb);
  else if (part === 'neighbors') await show(await client.listNeighbors(bridge), json, tables.printNeighbors);
  else if (part === 'publishes') await show(await client.listPublishes(bridge), json, tables.printPublishes);
  else if (part === 'flows') await printFlows(client.listFlows(bridge, flowQuery(options)), json);
  else if (part === 'gateway') await showGateway(client, bridge, json);
  else await show(await client.counters(bridge), json, tables.printCounters);
}

async function showAll(client: Client, name: string, json: boolean): Promise<void> {
  const [bridge, uplinks, ports, fdb, neighbors, publishes, counters] = await Promise.all([
    client.getBridge(name),
    client.listUplinks(),
    client.listPorts(name),
    client.listFdb(name),
    client.listNeighbors(name),
    client.listPublishes(name),
    client.counters(name),
  ]);
  const used = uplinks.filter(({ bridges }) => bridges.includes(name));
  if (json) return printJson({ bridge, uplinks: used, ports, fdb, neighbors, publishes, counters });
  await printBridge(bridge);
  await print(`${gatewayLine(bridge, used)}\n`);
  await section(`ports (${ports.length})`, ports, tables.printPorts);
  await section(`fdb (${fdb.length})`, fdb, tables.printFdb);
  await section(`neighbors (${neighbors.length})`, neighbors, tables.printNeighbors);
  await section(`publishes (${publishes.length})`, publishes, tables.printPublishes);
  await section('drops', tables.dropRows(counters).filter(tables.isCounted), tables.printDrops);
}

async function show<T>(value: T, json: boolean, table: (value: T) => Promise<void>): Promise<void> {
  await (json ? printJson(value) : table(value));
}

async function section<T>(title: string, rows: T[], table: (rows: T[]) => Promise<void>): Promise<void> {
  await print('\n');
  await printTitle(title);
  await (rows.length === 0 ? print('none\n') : table(rows));
}

async function printBridge(bridge: BridgeInfo): Promise<void> {
  const address = bridge.subnet === null ? 'no subnet' : `${bridge.gateway} of ${bridge.subnet}`;
  await printTitle(`bridge ${bridge.name}`);
  const ageing = bridge.ageingSeconds === 0 ? 'never learns' : `ageing ${bridge.ageingSeconds} s`;
  const proxy = bridge.arpProxy ? 'answers ARP' : 'floods ARP';
  await print(`${address}, ${bridge.mac}, MTU ${bridge.mtu}, ${ageing}, up to ${bridge.fdbLimit} MACs, ${proxy}\n`);
}
