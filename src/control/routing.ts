/** How a bridge reaches the outside: what users may ask for, checked, and how the engine is told. */
import { type GatewaySettings, MAX_UPLINKS } from '../engine/protocol.js';
import { formatIpv4, isUnicastIpv4, parseIpv4 } from '../wire/ipv4-address.js';
import { ControlError, orRefuse } from './control-error.js';
import { checkInterface } from './limits.js';
import type { ChangeBridge, MssClamp, Rule } from './model.js';
import { checkRules, policyRules } from './policy.js';
import type { BridgeRecord } from './records.js';

export interface Routing {
  /** 'auto', 'none', or names of interfaces, separated by commas. */
  uplink: string;
  internal: boolean;
  icc: boolean;
  /** int32; 0: the uplink's primary address. */
  egressAddress: number;
  mssClamp: MssClamp;
  rules: Rule[];
}

const MAX_NAMED = 16;
/** Number of an uplink there never is: no route leads there. */
const NO_UPLINK = MAX_UPLINKS;

/** What a new bridge has. */
export function defaultRouting(hasSubnet: boolean): Routing {
  const uplink = hasSubnet ? 'auto' : 'none';
  return { uplink, internal: false, icc: true, egressAddress: 0, mssClamp: 'auto', rules: [] };
}

/** Whether the bridge's gateway is ours; without it, what is for the gateway's MAC goes to the host's own stack. */
export function isRouted({ pool, routing }: BridgeRecord): boolean {
  return pool !== null && (routing.uplink !== 'none' || routing.internal);
}

/** Whether it is to have uplinks. */
export function goesOut(bridge: BridgeRecord): boolean {
  return isRouted(bridge) && !bridge.routing.internal;
}

/** The interfaces a bridge names; none for 'auto' and 'none'. */
export function namedUplinks({ uplink }: Routing): string[] {
  return uplink === 'auto' || uplink === 'none' ? [] : uplink.split(',');
}

/**
 * A routing with what a request changes, all of it checked.
 * @throws ControlError
 */
export function changedRouting(before: Routing, request: ChangeBridge, hasSubnet: boolean): Routing {
  const { uplink, internal, icc, egressAddress, mssClamp, rules } = request;
  const routing: Routing = {
    uplink: uplink === undefined ? before.uplink : uplinkOf(uplink),
    internal: internal ?? before.internal,
    icc: icc ?? before.icc,
    egressAddress: egressAddress === undefined ? before.egressAddress : addressOf(egressAddress),
    mssClamp: mssClamp ?? before.mssClamp,
    rules: rules ?? before.rules,
  };
  if (rules !== undefined) checkRules(rules);
  const asked = [
    routing.uplink !== 'none' && 'an uplink',
    routing.internal && 'internal',
    routing.egressAddress !== 0 && 'an egress address',
    routing.mssClamp !== 'auto' && 'MSS clamping',
    routing.rules.length > 0 && 'rules',
  ].find((each) => each !== false);
  if (!hasSubnet && asked !== undefined) {
    const what = `${asked} ${asked === 'rules' ? 'need' : 'needs'} a gateway, and a bridge without subnet has none`;
    throw new ControlError('invalid', what, 'make the bridge with --subnet');
  }
  return routing;
}

/** An address to translate to, as int32; 0 for null. @throws ControlError */
export function addressOf(text: string | null): number {
  if (text === null) return 0;
  const address = orRefuse('invalid', () => parseIpv4(text));
  if (!isUnicastIpv4(address)) throw new ControlError('invalid', `${text} is no address of a host`);
  return address;
}

export function addressText(address: number): string | null {
  return address === 0 ? null : formatIpv4(address);
}

/** @param uplinkNumber the engine's number of an interface, -1 when it is not open */
export function gatewaySettings(bridge: BridgeRecord, uplinkNumber: (name: string) => number): GatewaySettings {
  const { routing, pool, host, mac, mtu } = bridge;
  if (pool === null) throw new Error(`bridge ${bridge.name} has no gateway`);
  const named = namedUplinks(routing);
  return {
    hostPort: host.number,
    mac,
    address: pool.gateway,
    network: pool.subnet.network,
    prefix: pool.subnet.prefix,
    mtu,
    // With several the best route among all uplinks decides. One that is not open leads nowhere, instead of to another bridge's uplink.
    uplink: named.length === 1 ? orNone(uplinkNumber(named[0])) : -1,
    internal: routing.internal,
    egressAddress: routing.egressAddress,
    mssClamp: routing.mssClamp,
    rules: policyRules(bridge),
  };
}

function orNone(uplink: number): number {
  return uplink < 0 ? NO_UPLINK : uplink;
}

function uplinkOf(text: string): string {
  if (text === 'auto' || text === 'none') return text;
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) checkInterface(name);
  if (names.length > MAX_NAMED) throw new ControlError('invalid', `a bridge has at most ${MAX_NAMED} uplinks`);
  return [...new Set(names)].join(',');
}
