/** Which addresses and routes an attachment is to have, from a delegated IPAM or from the bridge's own subnet. */
import { isIPv4 } from 'node:net';
import type { BridgeInfo, RouteInfo } from '../control/model.js';
import type { Undo } from '../control/undo.js';
import { formatIpv4, Ipv4Cidr, parseIpv4Cidr } from '../wire/ipv4-address.js';
import type { Call } from './call.js';
import { CniError, Code } from './cni-error.js';
import { releaseAddresses } from './del.js';
import { addByIpam, ipamOf } from './delegate.js';
import { type OwnPool, readOwnPool } from './own-pool.js';
import { isIpv4Cidr, type ResultAddress, type ResultRoute } from './result.js';
import type { Dns, Settings } from './settings.js';
import type { Wishes } from './wishes.js';

export interface AddressPlan {
  /** Of the bridge, when it is to have one. */
  subnet: string | undefined;
  gateway: string | undefined;
  /** What the port is attached with, IPv4; undefined: none, or chosen with the own pool. */
  ip: string | undefined;
  /** Further ones. */
  addresses: string[];
  /** Of the delegated IPAM. */
  ips: ResultAddress[];
  routes: ResultRoute[];
  dns: Dns;
  /** null: it is another's. */
  own: OwnPool | null;
}

const NOTHING: AddressPlan = {
  subnet: undefined,
  gateway: undefined,
  ip: undefined,
  addresses: [],
  ips: [],
  routes: [],
  dns: {},
  own: null,
};
const DEFAULT = '0.0.0.0/0';

/** Asks the IPAM; `undo` gives back what it gave. @throws CniError */
export async function planAddresses(call: Call, settings: Settings, wishes: Wishes, undo: Undo): Promise<AddressPlan> {
  const { network, environment } = call;
  const { ipam } = network;
  if (ipam === null) {
    if (wishes.ips.length === 0) return NOTHING;
    const what = `the address ${wishes.ips[0]} is asked for, but network ${network.name} gives none`;
    throw new CniError(Code.invalidConfig, what, 'add "ipam" to its configuration');
  }
  if (ipam.own) return ownPlan(readOwnPool(ipam.fields, wishes.ipRanges), settings, wishes);
  const delegated = ipamOf(network, environment) as NonNullable<ReturnType<typeof ipamOf>>;
  const { ips, routes, dns } = await addByIpam(delegated, ipam.type).catch(async () => {
    // The daemon has no port for this attachment, so an address it still holds is left from one that ended without DEL. host-local gives no second one.
    await releaseAddresses(call);
    return addByIpam(delegated, ipam.type);
  });
  undo.add(() => releaseAddresses(call));
  if (ips.length === 0) throw new CniError(Code.invalidConfig, `ipam plugin ${ipam.type} gave no address`);
  const first = ips.find(({ address }) => isIpv4Cidr(address));
  const wantsGateway = settings.isGateway ?? first?.gateway !== undefined;
  return {
    ...NOTHING,
    subnet: first === undefined || !wantsGateway ? undefined : networkOf(first.address),
    gateway: first?.gateway ?? (first === undefined || !wantsGateway ? undefined : firstHost(first.address)),
    ip: first?.address,
    addresses: ips.filter((each) => each !== first).map(({ address }) => address),
    ips,
    routes,
    dns,
  };
}

/** Routes the interface gets: one without a gateway goes by that of the address of its family, with the own pool the bridge's. */
export function portRoutes(plan: AddressPlan, settings: Settings, bridge: BridgeInfo): RouteInfo[] {
  const routes = withDefault(plan.own?.routes ?? plan.routes, settings);
  const ofFamily = (dst: string) => {
    if (isIpv4Cidr(dst)) return plan.own === null ? plan.gateway : (bridge.gateway ?? undefined);
    return plan.ips.find(({ address, gateway }) => gateway !== undefined && !isIpv4Cidr(address))?.gateway;
  };
  return routes.map(({ dst, gw }) => ({ destination: dst, gateway: gw ?? ofFamily(dst) }));
}

/** Routes as the result tells them. */
export function resultRoutes(plan: AddressPlan, settings: Settings, bridge: BridgeInfo): ResultRoute[] {
  const { own } = plan;
  if (own === null) return withDefault(plan.routes, settings);
  if (own.routes !== undefined) return withDefault(own.routes, settings);
  return bridge.gateway === null ? [] : [{ dst: DEFAULT, gw: undefined }];
}

function withDefault(routes: readonly ResultRoute[], { isDefaultGateway }: Settings): ResultRoute[] {
  if (!isDefaultGateway || routes.some(({ dst }) => dst === DEFAULT)) return [...routes];
  return [...routes, { dst: DEFAULT, gw: undefined }];
}

function ownPlan(own: OwnPool, settings: Settings, wishes: Wishes): AddressPlan {
  if (settings.isGateway === false) {
    throw new CniError(Code.invalidConfig, 'isGateway false leaves no subnet for ipam type tapbridge', 'use host-local');
  }
  const [ip, ...more] = wishes.ips;
  const stranger = wishes.ips.find((each) => !isIPv4(each.split('/')[0])) ?? more[0];
  if (stranger !== undefined) {
    throw new CniError(Code.invalidConfig, `ipam type tapbridge gives one IPv4 address, not ${stranger} too`, 'use host-local');
  }
  return { ...NOTHING, subnet: own.subnet, gateway: own.gateway, ip, own };
}

function networkOf(address: string): string {
  const { network, prefix } = parseIpv4Cidr(address);
  return new Ipv4Cidr(network, prefix).toString();
}

function firstHost(address: string): string {
  return formatIpv4(parseIpv4Cidr(address).network + 1);
}
