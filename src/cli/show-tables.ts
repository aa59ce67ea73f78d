/** The parts of a bridge as tables. */
import type { CountersInfo, FdbInfo, NeighborInfo, PortInfo, PublishInfo } from '../control/model.js';
import { DROP_REASONS, GATEWAY_COUNTERS, GATEWAY_DROPS, INTERFACE_DROP_REASONS } from '../core/counters.js';
import { labelText } from './label-text.js';
import { print, printTable } from './output.js';
import { containerSideText, hostSideText } from './published.js';

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

export async function printPorts(ports: PortInfo[]): Promise<void> {
  await printTable(
    [
      { title: 'PORT' },
      { title: 'KIND' },
      { title: 'STATE' },
      { title: 'INTERFACE' },
      { title: 'NAMESPACE' },
      { title: 'CONTAINER' },
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
      port.container === null ? null : labelText(port.container),
      port.mac,
      port.ip,
      port.rxFrames,
      port.txFrames,
      port.drops,
    ]),
  );
}

export async function printFdb(entries: FdbInfo[]): Promise<void> {
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

export async function printNeighbors(entries: NeighborInfo[]): Promise<void> {
  await printTable(
    [{ title: 'IP' }, { title: 'MAC' }, { title: 'PORT' }, { title: 'KIND' }, { title: 'AGE', align: 'right' }],
    entries.map(({ ip, mac, port, kind, age }) => [ip, mac, port, kind, kind === 'learned' ? `${age}s` : null]),
  );
}

export async function printPublishes(publishes: PublishInfo[]): Promise<void> {
  await printTable(
    [{ title: 'HOST' }, { title: 'CONTAINER' }, { title: 'PORT' }, { title: 'LISTENER' }],
    publishes.map((publish) => [
      hostSideText(publish),
      containerSideText(publish),
      publish.portName,
      publish.listening ? 'yes' : 'no',
    ]),
  );
}

export async function printCounters(counters: CountersInfo): Promise<void> {
  await printTable([{ title: 'BRIDGE' }, { title: 'COUNT', align: 'right' }], Object.entries(counters.bridge));
  await print('\n');
  await printTable(
    [{ title: 'PORT' }, ...TRAFFIC.map((title) => ({ title, align: 'right' as const })), { title: 'drops', align: 'right' }],
    counters.ports.map(({ port, drops, counters: counts }) => [port, ...TRAFFIC.map((name) => counts[name]), drops]),
  );
  await print('\n');
  await printGatewayCounters(counters.gateway);
  await print('\n');
  const rows = dropRows(counters);
  await printDrops([...rows.filter(isCounted), ...rows.filter((row) => !isCounted(row))]);
}

/** What the gateway counts but its drops. */
export async function printGatewayCounters(counts: CountersInfo['gateway']): Promise<void> {
  await printTable(
    [{ title: 'GATEWAY' }, { title: 'COUNT', align: 'right' }],
    GATEWAY_COUNTERS.filter((name) => !Object.hasOwn(GATEWAY_DROPS, name)).map((name) => [name, counts[name]]),
  );
}

/** Reason, frames, where, why. */
export type DropRow = [reason: string, frames: number, at: string, why: string];

/** Drops of the ports, behind them those of the gateway. */
export function dropRows(counters: CountersInfo): DropRow[] {
  const ofPorts = PORT_REASONS.map(([reason, why]): DropRow => {
    const ports = counters.ports.filter(({ counters: counts }) => counts[reason] > 0).map(({ port }) => port);
    return [reason, counters.drops[reason], shortened(ports), why];
  });
  return [...ofPorts, ...gatewayDropRows(counters.gateway)];
}

export function gatewayDropRows(counts: CountersInfo['gateway']): DropRow[] {
  return GATEWAY_REASONS.map(([reason, why]): DropRow => [reason, counts[reason], counts[reason] > 0 ? 'gateway' : '', why]);
}

export function isCounted([, frames]: DropRow): boolean {
  return frames > 0;
}

export async function printDrops(rows: readonly DropRow[]): Promise<void> {
  await printTable([{ title: 'DROP' }, { title: 'FRAMES', align: 'right' }, { title: 'AT' }, { title: 'WHY' }], rows);
}

const SHOWN_PORTS = 3;

function shortened(names: string[]): string {
  const more = names.length > SHOWN_PORTS ? ` +${names.length - SHOWN_PORTS}` : '';
  return names.slice(0, SHOWN_PORTS).join(',') + more;
}

const REASONS = { ...DROP_REASONS, ...INTERFACE_DROP_REASONS };
const PORT_REASONS = Object.entries(REASONS) as [keyof typeof REASONS, string][];
const GATEWAY_REASONS = Object.entries(GATEWAY_DROPS) as [keyof typeof GATEWAY_DROPS, string][];
