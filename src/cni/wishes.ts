/**
 * What is asked for this one attachment: `runtimeConfig` (capabilities), `args.cni` and CNI_ARGS, in this order of precedence.
 */
import { isIP, isIPv4 } from 'node:net';
import { RATE_BITS, RATE_BURST } from '../control/limits.js';
import type { Rate } from '../control/model.js';
import { CniError, Code } from './cni-error.js';
import type { Environment } from './environment.js';
import { type Fields, listAt, objectAt, objectOf, textAt, textsAt, wholeAt, wrong } from './fields.js';
import { type Dns, readDns } from './settings.js';

export interface PortMapping {
  protocol: 'tcp' | 'udp';
  /** null: every address of the host. */
  hostAddress: string | null;
  hostPort: number;
  containerPort: number;
}

export interface Wishes {
  /** Addresses with or without prefix; empty: whatever the IPAM gives. */
  ips: string[];
  mac: string | undefined;
  portMappings: PortMapping[];
  rates: { in: Rate | null; out: Rate | null };
  /** What a person calls the container; null: nobody said. */
  name: string | null;
  /** Given by the runtime: goes before the configuration's. */
  dns: Dns;
  /** As host-local's `ranges`; undefined: the configuration's. */
  ipRanges: unknown[] | undefined;
}

const PORT = { min: 1, max: 65_535 } as const;
const MAX_MAPPINGS = 65_535;
const MAX_IPS = 64;
const MAX_NAMES = 64;
const MAX_RANGES = 16;
/** Also those that turn the direction of what follows: names are shown on terminals. */
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
/** Of CNI_ARGS: ours, and what Kubernetes' runtimes always send. */
const KNOWN_ARGS = [
  'IgnoreUnknown',
  'IP',
  'MAC',
  'K8S_POD_NAME',
  'K8S_POD_NAMESPACE',
  'K8S_POD_INFRA_CONTAINER_ID',
  'K8S_POD_UID',
];

/** @throws CniError 4, 7 */
export function readWishes(fields: Fields, environment: Environment): Wishes {
  const runtime = objectAt(fields, 'runtimeConfig') ?? {};
  const args = readArgs(environment.args);
  const wanted = objectAt(objectAt(fields, 'args') ?? {}, 'cni') ?? {};
  const one = args.get('IP');
  const ips = [textsAt(runtime, 'ips', MAX_IPS), textsAt(wanted, 'ips', MAX_IPS), one === undefined ? [] : one.split(',')];
  return {
    ips: (ips.find((list) => list !== undefined && list.length > 0) ?? []).map(checkIp),
    mac: textAt(runtime, 'mac') || args.get('MAC') || undefined,
    portMappings: readMappings(listAt(runtime, 'portMappings', MAX_MAPPINGS) ?? []),
    rates: readBandwidth(objectAt(runtime, 'bandwidth')),
    name: podNameOf(args) || aliasOf(runtime['aliases'], textAt(fields, 'name') ?? '', environment.containerId),
    dns: readRuntimeDns(objectAt(runtime, 'dns')),
    ipRanges: listAt(runtime, 'ipRanges', MAX_RANGES),
  };
}

/** 'K=V;K=V'. @throws CniError 4, also for unknown names unless IgnoreUnknown=1 is among them */
export function readArgs(text: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const pair of text.split(';')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    if (at <= 0) throw new CniError(Code.badEnvironment, `CNI_ARGS: ${JSON.stringify(pair)} is not KEY=VALUE`);
    args.set(pair.slice(0, at), pair.slice(at + 1));
  }
  const unknown = [...args.keys()].filter((key) => !KNOWN_ARGS.includes(key));
  if (unknown.length > 0 && !/^(1|true)$/i.test(args.get('IgnoreUnknown') ?? '')) {
    throw new CniError(Code.badEnvironment, `CNI_ARGS: unknown args [${unknown.join(' ')}]`, 'add IgnoreUnknown=1');
  }
  return args;
}

function checkIp(text: string): string {
  const [address, prefix, ...rest] = text.split('/');
  const longest = isIPv4(address) ? 32 : 128;
  const fits = prefix === undefined || (/^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= longest);
  if (isIP(address) === 0 || !fits || rest.length > 0) {
    throw wrong('each address asked for', 'like 10.77.0.50/24 or 10.77.0.50', text);
  }
  return text;
}

function readMappings(list: unknown[]): PortMapping[] {
  return list.flatMap((each) => {
    const mapping = objectOf('each of portMappings', each);
    const hostPort = wholeAt(mapping, 'hostPort', { min: 0, max: PORT.max }) ?? 0;
    // Not to be published: runtimes hand on every port a container declares.
    if (hostPort === 0) return [];
    const containerPort = wholeAt(mapping, 'containerPort', PORT);
    if (containerPort === undefined) throw new CniError(Code.invalidConfig, `portMappings: ${hostPort} has no containerPort`);
    const protocol = (textAt(mapping, 'protocol') || 'tcp').toLowerCase();
    if (protocol !== 'tcp' && protocol !== 'udp') {
      const what = `portMappings: ${hostPort}/${protocol} cannot be published`;
      throw new CniError(Code.invalidConfig, what, 'tcp and udp can');
    }
    return [{ protocol, hostAddress: hostAddressOf(mapping), hostPort, containerPort }];
  });
}

function hostAddressOf(mapping: Fields): string | null {
  const text = textAt(mapping, 'hostIP') ?? '';
  if (text === '' || text === '0.0.0.0') return null;
  if (isIPv4(text)) return text;
  const what = `portMappings: the host address ${JSON.stringify(text)} cannot be published on`;
  throw new CniError(Code.invalidConfig, what, 'use an IPv4 address, or none for all of them');
}

/** CNI has bits everywhere, seen from the container's interface: ingress is what it receives. */
function readBandwidth(bandwidth: Fields | undefined): Wishes['rates'] {
  if (bandwidth === undefined) return { in: null, out: null };
  return { in: rateOf(bandwidth, 'ingress'), out: rateOf(bandwidth, 'egress') };
}

function rateOf(bandwidth: Fields, way: 'ingress' | 'egress'): Rate | null {
  const bitsPerSecond = unboundedAt(bandwidth, `${way}Rate`);
  const burst = unboundedAt(bandwidth, `${way}Burst`);
  if (bitsPerSecond === 0) {
    if (burst > 0) throw new CniError(Code.invalidConfig, `bandwidth: ${way}Burst without ${way}Rate`);
    return null;
  }
  if (bitsPerSecond > RATE_BITS.max) return null;
  if (bitsPerSecond < RATE_BITS.min) throw wrong(`${way}Rate`, `${RATE_BITS.min} bit/s or more`, bitsPerSecond);
  return {
    bitsPerSecond: Math.round(bitsPerSecond),
    burstBytes: Math.min(Math.max(Math.ceil(burst / 8), RATE_BURST.min), RATE_BURST.max),
  };
}

/** Runtimes write "no limit" as the largest 64-bit number. */
function unboundedAt(from: Fields, key: string): number {
  const value = from[key] ?? 0;
  if (typeof value !== 'number' || !(value >= 0)) throw wrong(key, 'a number of bits', value);
  return value;
}

/** What is refused is not repeated in the message: that goes to a terminal, too. */
function podNameOf(args: ReadonlyMap<string, string>): string | undefined {
  const name = args.get('K8S_POD_NAME');
  if (name === undefined || !CONTROLS.test(name)) return name;
  throw new CniError(Code.badEnvironment, 'CNI_ARGS: K8S_POD_NAME has control characters');
}

/** A list by the conventions; podman has a list for each network, the container's name before its short id and the aliases in front. */
function aliasOf(aliases: unknown, network: string, containerId: string): string | null {
  const isMap = typeof aliases === 'object' && aliases !== null && !Array.isArray(aliases);
  const value = isMap ? (aliases as Fields)[network] : aliases;
  if (!Array.isArray(value)) return null;
  const names = value.slice(0, MAX_NAMES).filter((each): each is string => typeof each === 'string' && each !== '');
  if (names.some((each) => CONTROLS.test(each))) throw new CniError(Code.invalidConfig, 'an alias has control characters');
  return names.findLast((each) => !containerId.startsWith(each)) ?? null;
}

/** The capability calls them otherwise than a result does. */
function readRuntimeDns(dns: Fields | undefined): Dns {
  if (dns === undefined) return {};
  return readDns({ nameservers: dns['servers'], search: dns['searches'], options: dns['options'] });
}
