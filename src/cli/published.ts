/** Publishes as they are written: [HOSTIP:]HOSTPORT[-END]:PORT[-END][/tcp|/udp] */
import type { AddPublish, Publish, RemovePublish } from '../control/model.js';
import { parseIpv4 } from '../wire/ipv4-address.js';
import { UsageError } from './failure.js';

const ANY_ADDRESS = '0.0.0.0';
const MAX_PORT = 65_535;
const HOST = '(?:(?<ip>[^:/]*):)?(?<host>[0-9]+)(?:-(?<hostEnd>[0-9]+))?';
const PROTOCOL = '(?:/(?<protocol>tcp|udp))?';
const PUBLISH = new RegExp(`^${HOST}:(?<port>[0-9]+)(?:-(?<portEnd>[0-9]+))?${PROTOCOL}$`);
const UNPUBLISH = new RegExp(`^${HOST}${PROTOCOL}$`);
const PUBLISH_FORM = 'write [HOSTIP:]HOSTPORT[-END]:PORT[-END][/tcp|/udp], like 8080:80 or 127.0.0.1:5353:53/udp';
const UNPUBLISH_FORM = 'write [HOSTIP:]HOSTPORT[-END][/udp], like 8080 or 127.0.0.1:5353/udp';

/** @throws UsageError that tells the syntax */
export function parsePublish(text: string, portName: string): AddPublish {
  const { groups } = PUBLISH.exec(text) ?? {};
  if (groups === undefined) throw new UsageError(`${JSON.stringify(text)} is not how a publish is written`, PUBLISH_FORM);
  const host = hostSide(groups, PUBLISH_FORM);
  const [port, portEnd] = range(groups['port'], groups['portEnd'], PUBLISH_FORM);
  const { hostPort, hostPortEnd } = host;
  if (hostPortEnd - hostPort !== portEnd - port) {
    const sizes = `${hostPortEnd - hostPort + 1} ports of the host cannot lead to ${portEnd - port + 1} of the container`;
    const right = rangeText(port, port + hostPortEnd - hostPort);
    throw new UsageError(sizes, `ranges have one size: ${rangeText(hostPort, hostPortEnd)}:${right}`);
  }
  return { ...host, port, portName };
}

/** @throws UsageError that tells the syntax */
export function parseUnpublish(text: string): RemovePublish {
  const { groups } = UNPUBLISH.exec(text) ?? {};
  if (groups === undefined)
    throw new UsageError(`${JSON.stringify(text)} is not how a published port is written`, UNPUBLISH_FORM);
  return hostSide(groups, UNPUBLISH_FORM);
}

/** The host's side, as `unpublish` takes it; without an address it is for all of the host's. */
export function hostSideText({ hostAddress, hostPort, hostPortEnd, protocol }: Publish): string {
  return `${hostAddress === null ? '' : `${hostAddress}:`}${rangeText(hostPort, hostPortEnd)}/${protocol}`;
}

/** The container's side: address and ports. */
export function containerSideText({ address, port, hostPort, hostPortEnd }: Publish & { address: string }): string {
  return `${address}:${rangeText(port, port + hostPortEnd - hostPort)}`;
}

interface HostSide {
  protocol: 'tcp' | 'udp';
  hostAddress?: string | null;
  hostPort: number;
  hostPortEnd: number;
}

function hostSide(groups: Record<string, string | undefined>, form: string): HostSide {
  const { ip, host = '', hostEnd, protocol = 'tcp' } = groups;
  const [hostPort, hostPortEnd] = range(host, hostEnd, form);
  const address = ip === undefined ? {} : { hostAddress: hostAddress(ip, form) };
  return { protocol: protocol as 'tcp' | 'udp', ...address, hostPort, hostPortEnd };
}

function hostAddress(text: string, form: string): string | null {
  if (text === ANY_ADDRESS) return null;
  try {
    parseIpv4(text);
  } catch {
    throw new UsageError(`${JSON.stringify(text)} is no IPv4 address of the host`, form);
  }
  return text;
}

function range(first: string | undefined, last: string | undefined, form: string): [first: number, last: number] {
  const [low, high] = [Number(first), Number(last ?? first)];
  const wrong = [low, high].find((port) => port < 1 || port > MAX_PORT);
  if (wrong !== undefined) throw new UsageError(`${wrong} is no port: they go from 1 to ${MAX_PORT}`, form);
  if (high < low) throw new UsageError(`the range ${low}-${high} ends before it begins`, form);
  return [low, high];
}

function rangeText(first: number, last: number): string {
  return first === last ? String(first) : `${first}-${last}`;
}
