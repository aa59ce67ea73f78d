/**
 * CHECK: whether the attachment still is what ADD made, on both sides: in the container's namespace (over netlink, by the addon: no other call needs
 * it) and in the daemon. More routes and addresses than ours are allowed: plugins after this one add them.
 */
import type { PublishInfo } from '../control/model.js';
import { loadBinding } from '../native/binding.js';
import { listAddresses } from '../netlink/address.js';
import { formatIp, parseIp } from '../netlink/address-text.js';
import { findLink } from '../netlink/link.js';
import { Netlink } from '../netlink/netlink.js';
import { Netns } from '../netlink/netns.js';
import type { Call } from './call.js';
import { presentRoutes, routeProblem } from './check-routes.js';
import { CniError, Code } from './cni-error.js';
import { ask, find } from './daemon-error.js';
import { ipamOf } from './delegate.js';
import { checkNetns, type Environment } from './environment.js';
import { portNameOf } from './names.js';
import { isIpv4Cidr, type Result, readResult } from './result.js';
import { readSettings } from './settings.js';
import { type PortMapping, readWishes } from './wishes.js';

/** @throws CniError 7 without prevResult, 105 with what is not as it was */
export async function check(call: Call): Promise<void> {
  const { network, environment, client } = call;
  const settings = readSettings(network.fields);
  const wishes = readWishes(network.fields, environment);
  const previous = network.fields['prevResult'] ?? undefined;
  if (previous === undefined) throw new CniError(Code.invalidConfig, 'CHECK needs prevResult');
  const result = readResult('prevResult', previous);
  checkNetns(environment);
  const bridge = await find('look for the bridge', client.getBridge(network.bridge));
  checkInterface(environment, result, settings.isGateway === true ? (bridge?.gateway ?? undefined) : undefined);
  await checkPort(call, wishes.portMappings);
  await ipamOf(network, environment)?.run('CHECK');

  async function checkPort({ network: { bridge, name } }: Call, mappings: readonly PortMapping[]): Promise<void> {
    const port = portNameOf(name, environment.containerId, environment.ifname);
    const there = await find(`look for the port`, client.getPort(bridge, port));
    if (there === undefined) throw new CniError(Code.checkFailed, `bridge ${bridge} has no port for this attachment`);
    if (there.state !== 'up') throw new CniError(Code.checkFailed, `port ${port} of bridge ${bridge} is ${there.state}`);
    const publishes = mappings.length === 0 ? [] : await ask('list what is published', client.listPublishes(bridge));
    for (const mapping of mappings) {
      if (publishes.some((each) => each.portName === port && covers(each, mapping))) continue;
      throw new CniError(Code.checkFailed, `port ${mapping.hostPort}/${mapping.protocol} is not published`);
    }
  }
}

/** @param gateway of the bridge, for IPv4 routes when the result's addresses have none */
function checkInterface({ netns: path, ifname }: Environment, result: Result, gateway: string | undefined): void {
  const at = result.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox === path);
  if (at < 0) throw new CniError(Code.invalidConfig, `prevResult has no interface ${ifname} in ${path}`);
  const binding = loadBinding();
  const netns = Netns.open(binding, path);
  try {
    const there = Netlink.open(binding, netns.descriptor);
    try {
      compare(there, ifname, result, at, gateway);
    } finally {
      there.close();
    }
  } finally {
    netns.close();
  }
}

function compare(
  there: Netlink,
  ifname: string,
  { interfaces, ips, routes }: Result,
  at: number,
  gateway: string | undefined,
): void {
  const link = findLink(there, ifname);
  if (link === undefined) throw new CniError(Code.checkFailed, `interface ${ifname} is gone`);
  const { mac, mtu } = interfaces[at];
  if (mac !== '' && mac.toLowerCase() !== link.mac) {
    throw new CniError(Code.checkFailed, `interface ${ifname} has the MAC ${link.mac}, ${mac} is expected`);
  }
  if (mtu !== undefined && mtu !== link.mtu) {
    throw new CniError(Code.checkFailed, `interface ${ifname} has the MTU ${link.mtu}, ${mtu} is expected`);
  }
  const addresses = new Set(listAddresses(there, link.index).map(({ address, prefix }) => `${address}/${prefix}`));
  const own = ips.filter((ip) => ip.interface === undefined || ip.interface === at);
  const lost = own.find(({ address }) => !addresses.has(canonical(address)));
  if (lost !== undefined) throw new CniError(Code.checkFailed, `interface ${ifname} has lost its address ${lost.address}`);
  const present = presentRoutes(there);
  const gatewayOf = (isV4: boolean) =>
    own.find((ip) => ip.gateway !== undefined && isIpv4Cidr(ip.address) === isV4)?.gateway ?? (isV4 ? gateway : undefined);
  for (const route of routes) {
    const problem = routeProblem(route, gatewayOf(isIpv4Cidr(route.dst)), present, link.index);
    if (problem !== undefined) throw new CniError(Code.checkFailed, problem);
  }
}

function covers(publish: PublishInfo, { protocol, hostAddress, hostPort, containerPort }: PortMapping): boolean {
  return (
    publish.protocol === protocol &&
    publish.hostAddress === hostAddress &&
    publish.hostPort <= hostPort &&
    hostPort <= publish.hostPortEnd &&
    publish.port + (hostPort - publish.hostPort) === containerPort
  );
}

/** As the kernel's are written: an IPv6 address has many forms. */
function canonical(cidr: string): string {
  const [address, prefix] = cidr.split('/');
  return `${formatIp(parseIp(address).bytes)}/${Number(prefix)}`;
}
