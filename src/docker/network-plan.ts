/** What a CreateNetwork asks for, as the record of a network: how its bridge is made, and what its containers are told. */
import { ControlError } from '../control/control-error.js';
import type { NetworkRecord } from './docker-record.js';
import type { CreateNetworkRequest } from './messages.js';
import { HOST_IPV4, MSS_CLAMP, type NetworkOptions, networkOptions, truth, UPLINK } from './options.js';

const ENABLE_IPV4 = 'com.docker.network.enable_ipv4';
const INTERNAL = 'com.docker.network.internal';
/** As Docker's own bridge calls the gateway that is not the bridge. */
const OTHER_GATEWAY = 'DefaultGatewayIPv4';
const NULL_SPACE = 'null';
const ID_DIGITS = 12;

export function bridgeNameOf(networkId: string): string {
  return `tb-${networkId.slice(0, ID_DIGITS)}`;
}

/** @throws ControlError invalid, which names the option */
export function planNetwork(request: CreateNetworkRequest): NetworkRecord {
  const given = request.Options ?? {};
  const options = networkOptions(given);
  const internal = flagOf(given, INTERNAL, false);
  if (options.gatewayMode === 'isolated' && !internal) {
    const what = 'com.docker.network.bridge.gateway_mode_ipv4=isolated cannot be: the network is not internal';
    throw new ControlError('invalid', what, 'add --internal');
  }
  checkWayOut(options, internal);
  const ipv4 = ipv4Of(request, flagOf(given, ENABLE_IPV4, true));
  const addressed = ipv4 !== null && !options.inhibitIpv4 && options.gatewayMode !== 'isolated';
  const bare = ipv4?.gateway?.slice(0, ipv4.gateway.indexOf('/'));
  return {
    id: request.NetworkID,
    bridge: {
      name: bridgeNameOf(request.NetworkID),
      ...definedOf(options.bridge),
      ...(addressed && { subnet: ipv4.pool, ...(bare !== undefined && { gateway: bare }) }),
      // A bridge without address has no way out that could be closed.
      ...(internal && addressed && { internal }),
    },
    gateway: internal || ipv4 === null ? null : (ipv4.otherGateway ?? bare ?? null),
    internal,
    interfacePrefix: options.interfacePrefix,
    hostBinding: options.hostBinding,
    subnets: [...(request.IPv4Data ?? []), ...(request.IPv6Data ?? [])].flatMap(({ Pool }) => Pool ?? []),
    endpoints: new Map(),
  };
}

/** Whether a network needs no gateway address, from its options alone. */
export function needsNoGateway(given: Readonly<Record<string, unknown>>): boolean {
  return networkOptions(given).gatewayMode === 'isolated';
}

/**
 * What is said of the way out needs one. Where ports are published may be said all the same: Docker's own bridge takes it with --internal, too.
 * @throws ControlError
 */
function checkWayOut({ bridge }: NetworkOptions, internal: boolean): void {
  const { uplink, egressAddress, mssClamp } = bridge;
  if (!internal && uplink !== 'none') return;
  const name = [
    uplink !== undefined && uplink !== 'none' && UPLINK,
    egressAddress !== undefined && HOST_IPV4,
    mssClamp === 'on' && MSS_CLAMP,
  ].find((each) => each !== false);
  if (name === undefined) return;
  const why = internal ? 'a network with --internal has no uplink' : `with ${UPLINK}=none there is no uplink`;
  throw new ControlError('invalid', `${name} has no effect: ${why}`, `leave ${name} out`);
}

interface Ipv4Plan {
  pool: string;
  gateway: string | undefined;
  otherGateway: string | undefined;
}

/** null: no IPAM, or no IPv4. */
function ipv4Of(request: CreateNetworkRequest, enabled: boolean): Ipv4Plan | null {
  const data = (request.IPv4Data ?? []).filter(({ AddressSpace }) => AddressSpace !== NULL_SPACE);
  if (!enabled || data.length === 0) return null;
  if (data.length > 1) throw new ControlError('invalid', 'a network of tapbridge has one IPv4 subnet', 'give one --subnet');
  const [{ Pool, Gateway, AuxAddresses }] = data;
  if (Pool === undefined || Pool === '') throw new ControlError('invalid', 'the IPAM driver gave no subnet');
  const other = AuxAddresses?.[OTHER_GATEWAY];
  return {
    pool: Pool,
    gateway: Gateway === undefined || Gateway === '' ? undefined : Gateway,
    otherGateway: other?.split('/')[0],
  };
}

/** Booleans of dockerd itself; text from programs that use its API. */
function flagOf(given: Readonly<Record<string, unknown>>, name: string, absent: boolean): boolean {
  const value = given[name];
  if (value === undefined) return absent;
  return typeof value === 'boolean' ? value : truth(name, String(value));
}

function definedOf<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}
