/** Results: what an IPAM answers, what ADD prints in the form of each version, and what CHECK gets back as prevResult. */
import { isIPv4 } from 'node:net';
import { CniError, Code } from './cni-error.js';
import { type Fields, listAt, objectAt, objectOf, textAt, wholeAt } from './fields.js';
import { type Dns, readDns } from './settings.js';
import { atLeast, type Version } from './version.js';

export interface ResultAddress {
  /** With its prefix. */
  address: string;
  gateway: string | undefined;
  /** Index into the interfaces; undefined: an IPAM does not know it. */
  interface: number | undefined;
}

export interface ResultRoute {
  dst: string;
  gw: string | undefined;
}

export interface ResultInterface {
  name: string;
  /** '' for none. */
  mac: string;
  mtu: number | undefined;
  /** '' for the host's own. */
  sandbox: string;
}

export interface Result {
  interfaces: ResultInterface[];
  ips: ResultAddress[];
  routes: ResultRoute[];
  dns: Dns;
}

const MAX_ENTRIES = 256;
/** Of 1.1.0's routes: set on the kernel's route, which the daemon makes plain. */
const ROUTE_EXTRAS = ['mtu', 'advmss', 'priority', 'table', 'scope'];

/** @param what 'ipam' or 'prevResult' @throws CniError 6, 7 */
export function readResult(what: string, value: unknown): Result {
  const result = objectOf(what, value);
  const each = (key: string) => (listAt(result, key, MAX_ENTRIES) ?? []).map((entry) => objectOf(`each of ${key}`, entry));
  return {
    interfaces: each('interfaces').map((entry) => ({
      name: textAt(entry, 'name') ?? '',
      mac: textAt(entry, 'mac') ?? '',
      mtu: wholeAt(entry, 'mtu', { min: 0, max: 0xffff_ffff }) || undefined,
      sandbox: textAt(entry, 'sandbox') ?? '',
    })),
    ips: each('ips').map((entry) => ({
      address: cidrAt(entry, 'address'),
      gateway: textAt(entry, 'gateway') || undefined,
      interface: wholeAt(entry, 'interface', { min: 0, max: MAX_ENTRIES }),
    })),
    routes: each('routes').map((entry) => readRoute(entry)),
    dns: readDns(objectAt(result, 'dns')),
  };
}

/** @param extras what is to be done with a route that has more than destination and gateway: refuse it where it is ours to make */
export function readRoute(entry: Fields, extras: 'refuse' | 'allow' = 'allow'): ResultRoute {
  const extra = ROUTE_EXTRAS.find((key) => entry[key] !== undefined && entry[key] !== null && entry[key] !== 0);
  const dst = cidrAt(entry, 'dst');
  if (extras === 'refuse' && extra !== undefined) {
    throw new CniError(Code.invalidConfig, `the route to ${dst} has ${extra}, which tapbridge cannot set`, 'leave it out');
  }
  return { dst, gw: textAt(entry, 'gw') || undefined };
}

export function isIpv4Cidr(text: string): boolean {
  return isIPv4(text.split('/')[0]);
}

/** The document ADD prints. */
export function resultDocument({ interfaces, ips, routes, dns }: Result, version: Version): object {
  const old = !atLeast(version, '1.0.0');
  const newest = atLeast(version, '1.1.0');
  return {
    cniVersion: version,
    interfaces: interfaces.map(({ name, mac, mtu, sandbox }) => ({
      name,
      ...(mac === '' ? {} : { mac }),
      ...(newest && mtu !== undefined ? { mtu } : {}),
      ...(sandbox === '' ? {} : { sandbox }),
    })),
    ...(ips.length === 0 ? {} : { ips: ips.map((ip) => addressDocument(ip, old)) }),
    ...(routes.length === 0 ? {} : { routes: routes.map(({ dst, gw }) => ({ dst, ...(gw === undefined ? {} : { gw }) })) }),
    dns,
  };
}

function addressDocument(ip: ResultAddress, old: boolean): object {
  return {
    ...(old ? { version: isIpv4Cidr(ip.address) ? '4' : '6' } : {}),
    address: ip.address,
    ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }),
    ...(ip.interface === undefined ? {} : { interface: ip.interface }),
  };
}

function cidrAt(entry: Fields, key: string): string {
  const text = textAt(entry, key) ?? '';
  if (!/^[0-9A-Fa-f.:]+\/[0-9]{1,3}$/.test(text)) {
    throw new CniError(Code.invalidConfig, `${JSON.stringify(text)} is no ${key}: an address with its prefix is expected`);
  }
  return text;
}
