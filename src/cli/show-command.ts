/** show BRIDGE [ports|fdb|neighbors|counters] */
import { Argument, type Command } from 'commander';
import type { Client } from '../client/client.js';
import type { BridgeInfo, CountersInfo, FdbInfo, NeighborInfo, PortInfo } from '../control/model.js';
import { DROP_REASONS, INTERFACE_DROP_REASONS } from '../core/counters.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { print, printJson, printTable, printTitle } from './output.js';

const PARTS = ['ports', 'fdb', 'neighbors', 'counters'] as const;
type Part = (typeof PARTS)[number];

/** Counters of a port that are no drops, in the table. */
const TRAFFIC = [
  'rx_frames',
  'rx_packets',
  'rx_bytes',
  'tx_frames',
  'tx_packets',
  'tx_bytes',
  'unicast',
  'flooded',
  'arp_answered',
] as const;

export function showCommand(): Command {
  return clientCommand('show', 'show what a bridge has, knows and counted')
    .argument('<bridge>')
    .addArgument(new Argument('[part]', 'a summary of all without it').choices(PARTS))
    .option('--json', 'print it as JSON')
    .action((bridge: string, part: Part | undefined, options: ClientOptions) =>
      withClient(`show ${bridge}`, options, async (client) => {
        if (part === undefined) await showAll(client, bridge, options.json === true);
        else await showPart(client, bridge, part, options.json === true);
      }),
    );
}

async function showPart(client: Client, bridge: string, part: Part, json: boolean): Promise<void> {
  if (part === 'ports') await show(await client.listPorts(bridge), json, printPorts);
  else if (part === 'fdb') await show(await client.listFdb(bridge), json, printFdb);
  else if (part === 'neighbors') await show(await client.listNeighbors(bridge), json, printNeighbors);
  else await show(await client.counters(bridge), json, printCounters);
}

async function showAll(client: Client, name: string, json: boolean): Promise<void> {
  const [bridge, ports, fdb, neighbors, counters] = await Promise.all([
    client.getBridge(name),
    client.listPorts(name),
    client.listFdb(name),
    client.listNeighbors(name),
    client.counters(name),
  ]);
  if (json) return printJson({ bridge, ports, fdb, neighbors, counters });
  await printBridge(bridge);
  await section(`ports (${ports.length})`, ports, printPorts);
  await section(`fdb (${fdb.length})`, fdb, printFdb);
  await section(`neighbors (${neighbors.length})`, neighbors, printNeighbors);
  const dropped = DROP_NAMES.filter((reason) => counters.drops[reason] > 0);
  await print('\n');
  await printTitle('drops');
  if (dropped.length === 0) await print('none\n');
  else await printDrops(counters, dropped);
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

async function printPorts(ports: PortInfo[]): Promise<void> {
  await printTable(
    [
      { title: 'PORT' },
      { title: 'KIND' },
      { title: 'STATE' },
      { title: 'INTERFACE' },
      { title: 'NAMESPACE' },
      { title: 'MAC' },
      { title: 'IP' },
      { title: 'RX FRAMES', align: 'right' },
      { title: 'TX FRAMES', align: 'right' },
      { title: 'DROPS', align: 'right' },
    ],
    ports.map((port) => [
      port.name,
      port.kind,
      port.state,
      port.interface ?? port.file,
      port.netns ?? (port.pid === null ? null : `pid ${port.pid}`),
      port.mac,
      port.ip,
      port.rxFrames,
      port.txFrames,
      port.drops,
    ]),
  );
}

async function printFdb(entries: FdbInfo[]): Promise<void> {
  await printTable(
    [{ title: 'MAC' }, { title: 'PORT' }, { title: 'VLAN', align: 'right' }, { title: 'KIND' }, { title: 'AGE', align: 'right' }],
    entries.map(({ mac, port, vlan, kind, age }) => [
      mac,
      port,
      vlan === 0 ? null : vlan,
      kind,
      kind === 'learned' ? `${age}s` : null,
    ]),
  );
}

async function printNeighbors(entries: NeighborInfo[]): Promise<void> {
  await printTable(
    [{ title: 'IP' }, { title: 'MAC' }, { title: 'PORT' }, { title: 'KIND' }, { title: 'AGE', align: 'right' }],
    entries.map(({ ip, mac, port, kind, age }) => [ip, mac, port, kind, kind === 'learned' ? `${age}s` : null]),
  );
}

async function printCounters(counters: CountersInfo): Promise<void> {
  await printTable([{ title: 'BRIDGE' }, { title: 'COUNT', align: 'right' }], Object.entries(counters.bridge));
  await print('\n');
  await printTable(
    [{ title: 'PORT' }, ...TRAFFIC.map((title) => ({ title, align: 'right' as const })), { title: 'drops', align: 'right' }],
    counters.ports.map(({ port, drops, counters: counts }) => [port, ...TRAFFIC.map((name) => counts[name]), drops]),
  );
  await print('\n');
  const byCount = [...DROP_NAMES].sort((a, b) => Number(counters.drops[b] > 0) - Number(counters.drops[a] > 0));
  await printDrops(counters, byCount);
}

async function printDrops(counters: CountersInfo, reasons: readonly Reason[]): Promise<void> {
  await printTable(
    [{ title: 'DROP' }, { title: 'FRAMES', align: 'right' }, { title: 'AT' }, { title: 'WHY' }],
    reasons.map((reason) => {
      const ports = counters.ports.filter(({ counters: counts }) => counts[reason] > 0).map(({ port }) => port);
      return [reason, counters.drops[reason], shortened(ports), REASONS[reason]];
    }),
  );
}

const SHOWN_PORTS = 3;

function shortened(names: string[]): string {
  const more = names.length > SHOWN_PORTS ? ` +${names.length - SHOWN_PORTS}` : '';
  return names.slice(0, SHOWN_PORTS).join(',') + more;
}

const REASONS = { ...DROP_REASONS, ...INTERFACE_DROP_REASONS };
type Reason = keyof typeof REASONS;
const DROP_NAMES = Object.keys(REASONS) as Reason[];
