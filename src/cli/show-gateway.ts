/** The routed side of a bridge: in one line, and as `show BRIDGE gateway`. */
import type { Client } from '../client/client.js';
import type { BridgeInfo, GatewayInfo, UplinkInfo } from '../control/model.js';
import { GATEWAY_COUNTERS, GATEWAY_DROPS } from '../core/counters.js';
import { print, printJson, printTable, printTitle } from './output.js';
import { gatewayDropRows, isCounted, printDrops, printGatewayCounters } from './show-tables.js';

/** 'uplink auto: eth0 up, translated to its address, containers reach each other' */
export function gatewayLine(bridge: BridgeInfo, uplinks: readonly UplinkInfo[]): string {
  const { icc, rules, mssClamp } = bridge;
  return [
    wayOut(bridge, uplinks),
    icc ? 'containers reach each other' : 'containers do not reach each other',
    ...(mssClamp === 'auto' ? [] : [`MSS clamping ${mssClamp}`]),
    ...(rules.length === 0 ? [] : [`${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}`]),
  ].join(', ');
}

export async function showGateway(client: Client, asked: string, json: boolean): Promise<void> {
  const bridge = await client.getBridge(asked);
  const { name } = bridge;
  const [counters, gateway, uplinks] = await Promise.all([client.counters(name), client.gateway(), client.listUplinks()]);
  const counts = counters.gateway;
  if (json) {
    const split = (drops: boolean) =>
      Object.fromEntries(
        GATEWAY_COUNTERS.filter((key) => Object.hasOwn(GATEWAY_DROPS, key) === drops).map((key) => [key, counts[key]]),
      );
    return printJson({ bridge: name, counters: split(false), drops: split(true), ...gateway });
  }
  await printTitle(`gateway of ${name}`);
  await print(`${gatewayLine(bridge, uplinks)}\n\n`);
  await printGatewayCounters(counts);
  await print('\n');
  const dropped = gatewayDropRows(counts).filter(isCounted);
  await printTitle('drops');
  await (dropped.length === 0 ? print('none\n') : printDrops(dropped));
  await print('\n');
  await printUse(gateway);
}

/** Tables all bridges of the daemon share. */
async function printUse(gateway: GatewayInfo): Promise<void> {
  const { flows, flowLimit, mappings, mappingLimit, pools } = gateway;
  await printTitle('tables of all bridges');
  await printTable(
    [{ title: 'TABLE' }, { title: 'USED', align: 'right' }, { title: 'OF', align: 'right' }, { title: 'SHARE', align: 'right' }],
    [
      ['flows', flows, flowLimit, share(flows, flowLimit)],
      ['mappings', mappings, mappingLimit, share(mappings, mappingLimit)],
      ...pools.map(({ address, protocol, used, size }) => [`${protocol} ports of ${address}`, used, size, share(used, size)]),
    ],
  );
}

function share(used: number, size: number): string {
  return size === 0 ? '-' : `${Math.floor((100 * used) / size)}%`;
}

function wayOut({ name, uplink, internal, egressAddress }: BridgeInfo, uplinks: readonly UplinkInfo[]): string {
  if (internal) return 'internal: no way to the outside';
  if (uplink === 'none') return 'no uplink';
  const used = uplinks.filter(({ bridges }) => bridges.includes(name)).map((each) => `${each.interface} ${each.state}`);
  const names = used.length === 0 ? 'no interface at present' : used.join(' and ');
  return `uplink ${uplink}: ${names}, flows translated to ${egressAddress ?? 'its address'}`;
}
