/**
 * Addresses from the bridge's own subnet (`"ipam": {"type": "tapbridge"}`): no files and no second process, the daemon knows what is taken.
 *
 * Without a range the daemon chooses. With one the plugin does: it reads which addresses the ports have and tries free ones, the first by the hash
 * of the attachment, so that parallel calls rarely want the same; who loses takes the next.
 */
import { createHash } from 'node:crypto';
import type { BridgeInfo, PortInfo } from '../control/model.js';
import { formatIpv4, Ipv4Cidr, parseIpv4, parseIpv4Cidr } from '../wire/ipv4-address.js';
import { CniError, Code } from './cni-error.js';
import { type Fields, listAt, objectOf, refuseOthers, textAt } from './fields.js';
import { type ResultRoute, readRoute } from './result.js';

/** int32, both inclusive. */
interface Range {
  first: number;
  last: number;
}

export interface OwnPool {
  /** undefined: the bridge is there already. */
  subnet: string | undefined;
  gateway: string | undefined;
  /** undefined: the whole subnet. */
  range: Range | undefined;
  /** undefined: the default route by the gateway. */
  routes: ResultRoute[] | undefined;
}

const RANGE_KEYS = ['subnet', 'rangeStart', 'rangeEnd', 'gateway'];
const MAX_ROUTES = 256;
/** Addresses tried before "none is free" is believed. */
const MAX_TRIES = 64;

/** @param ranges the runtime's, instead of the configuration's @throws CniError 2, 7 */
export function readOwnPool(ipam: Fields, ranges: unknown[] | undefined): OwnPool {
  refuseOthers('ipam', ipam, ['type', 'ranges', 'routes', ...RANGE_KEYS]);
  const range = oneRange(ranges ?? listAt(ipam, 'ranges', 16)) ?? ipam;
  refuseOthers('ipam.ranges', range, range === ipam ? Object.keys(ipam) : RANGE_KEYS);
  const routes = listAt(ipam, 'routes', MAX_ROUTES)?.map((each) => readRoute(objectOf('each of routes', each), 'refuse'));
  const subnet = textAt(range, 'subnet') || undefined;
  return {
    subnet: subnet && networkOf(subnet),
    gateway: textAt(range, 'gateway') || undefined,
    range: boundsOf(range, subnet),
    routes,
  };
}

/** Addresses to ask for, one after the other until one is not taken. @param attachment what makes the beginning its own */
export function candidates({ first, last }: Range, bridge: BridgeInfo, ports: readonly PortInfo[], attachment: string): string[] {
  const subnet = bridge.subnet === null ? undefined : parseIpv4Cidr(bridge.subnet);
  const taken = new Set(ports.map(({ ip }) => ip?.split('/')[0]));
  taken.add(bridge.gateway ?? undefined);
  const size = last - first + 1;
  const from = createHash('sha256').update(attachment).digest().readUInt32BE(0) % size;
  const found: string[] = [];
  for (let step = 0; step < size && found.length < MAX_TRIES; step++) {
    const address = first + ((from + step) % size);
    const text = formatIpv4(address);
    if (!taken.has(text) && subnet?.isHost(address) !== false) found.push(text);
  }
  if (found.length > 0) return found;
  throw new CniError(Code.noAddress, `no address from ${formatIpv4(first)} to ${formatIpv4(last)} is free`);
}

/** How many addresses are left, as far as the ports tell. */
export function freeAddresses(pool: OwnPool, bridge: BridgeInfo, ports: readonly PortInfo[]): number {
  const subnet = bridge.subnet === null ? undefined : parseIpv4Cidr(bridge.subnet);
  if (subnet === undefined) return 0;
  const first = pool.range?.first ?? subnet.network + 1;
  const last = pool.range?.last ?? subnet.broadcast - 1;
  const isIn = (text: string | null) => {
    const address = text === null ? undefined : parseIpv4(text.split('/')[0]);
    return address !== undefined && address >= first && address <= last;
  };
  return last - first + 1 - ports.filter(({ kind, ip }) => kind !== 'host' && isIn(ip)).length - (isIn(bridge.gateway) ? 1 : 0);
}

/** host-local's form has sets of ranges; this pool has one subnet. */
function oneRange(ranges: unknown[] | undefined): Fields | undefined {
  if (ranges === undefined || ranges.length === 0) return undefined;
  const set = ranges.length === 1 ? ranges[0] : undefined;
  if (!Array.isArray(set) || set.length !== 1) {
    throw new CniError(Code.invalidConfig, 'ipam type tapbridge takes one range of one subnet', 'use host-local for several');
  }
  return objectOf('the range', set[0]);
}

/** '10.77.0.0/24', also when it is written with a host's address as the reference plugins allow. */
function networkOf(text: string): string {
  const subnet = parsed('subnet', text, parseIpv4Cidr);
  return new Ipv4Cidr(subnet.network, subnet.prefix).toString();
}

function boundsOf(range: Fields, subnetText: string | undefined): OwnPool['range'] {
  const [start, end] = [textAt(range, 'rangeStart') || undefined, textAt(range, 'rangeEnd') || undefined];
  if (start === undefined && end === undefined) return undefined;
  if (subnetText === undefined) throw new CniError(Code.invalidConfig, 'ipam: a range needs its subnet');
  const subnet = parsed('subnet', subnetText, parseIpv4Cidr);
  const first = start === undefined ? subnet.network + 1 : parsed('rangeStart', start, parseIpv4);
  const last = end === undefined ? subnet.broadcast - 1 : parsed('rangeEnd', end, parseIpv4);
  if (!subnet.isHost(first) || !subnet.isHost(last) || first > last) {
    const shown = `${formatIpv4(first)} to ${formatIpv4(last)}`;
    throw new CniError(Code.invalidConfig, `ipam: ${shown} is no range of hosts of ${subnetText}`);
  }
  return { first, last };
}

function parsed<Value>(what: string, text: string, parse: (text: string) => Value): Value {
  try {
    return parse(text);
  } catch (error) {
    throw new CniError(Code.invalidConfig, `ipam.${what}: ${(error as Error).message}`);
  }
}
