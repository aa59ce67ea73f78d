/** show BRIDGE [ports|fdb|neighbors|publishes|flows|gateway|counters] */
import { Argument, type Command } from 'commander';
import type { Client } from '../client/client.js';
import type { BridgeInfo, CountersInfo, PublishInfo } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { type FilterOptions, flowQuery, refuseFilter, withFilterOptions } from './flow-filter.js';
import { labelText } from './label-text.js';
import { print, printJson, printTitle } from './output.js';
import { askPortNames, type PortNames, portNames, renamed } from './port-names.js';
import { printFlows } from './show-flows.js';
import { gatewayLine, showGateway } from './show-gateway.js';
import * as tables from './show-tables.js';

const PARTS = ['ports', 'fdb', 'neighbors', 'publishes', 'flows', 'gateway', 'counters'] as const;
type Part = (typeof PARTS)[number];

type Options = ClientOptions & FilterOptions;

export function showCommand(): Command {
  const command = clientCommand('show', 'show what a bridge has, knows and counted')
    .argument('<bridge>', 'its name, or the name or id of its network')
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
  else if (part === 'gateway') await showGateway(client, bridge, json);
  else {
    const names: PortNames = json ? (port) => port : await askPortNames(client, bridge);
    if (part === 'fdb') await show(renamed(await client.listFdb(bridge), names), json, tables.printFdb);
    else if (part === 'neighbors') await show(renamed(await client.listNeighbors(bridge), names), json, tables.printNeighbors);
    else if (part === 'publishes') await show(named(await client.listPublishes(bridge), names), json, tables.printPublishes);
    else if (part === 'flows') await printFlows(client.listFlows(bridge, flowQuery(options)), json, names);
    else await show(inCounters(await client.counters(bridge), names), json, tables.printCounters);
  }
}

async function showAll(client: Client, asked: string, json: boolean): Promise<void> {
  // Asked for by the name of its network, perhaps.
  const bridge = await client.getBridge(asked);
  const { name } = bridge;
  const [uplinks, ports, fdb, neighbors, publishes, counters] = await Promise.all([
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
  const names = portNames(ports, bridge.network !== null);
  await section(`fdb (${fdb.length})`, renamed(fdb, names), tables.printFdb);
  await section(`neighbors (${neighbors.length})`, renamed(neighbors, names), tables.printNeighbors);
  await section(`publishes (${publishes.length})`, named(publishes, names), tables.printPublishes);
  await section('drops', tables.dropRows(inCounters(counters, names)).filter(tables.isCounted), tables.printDrops);
}

function named(publishes: readonly PublishInfo[], names: PortNames): PublishInfo[] {
  return publishes.map((publish) => ({ ...publish, portName: names(publish.portName) }));
}

function inCounters(counters: CountersInfo, names: PortNames): CountersInfo {
  return { ...counters, ports: renamed(counters.ports, names) };
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
  const network = bridge.network === null ? '' : `, network ${labelText(bridge.network)}`;
  await printTitle(`bridge ${bridge.name}${network}`);
  const ageing = bridge.ageingSeconds === 0 ? 'never learns' : `ageing ${bridge.ageingSeconds} s`;
  const proxy = bridge.arpProxy ? 'answers ARP' : 'floods ARP';
  await print(`${address}, ${bridge.mac}, MTU ${bridge.mtu}, ${ageing}, up to ${bridge.fdbLimit} MACs, ${proxy}\n`);
}
