/**
 * What `docker network create` may say, and what it means here. Every option takes effect or is refused by name with what to do; an option that
 * is unknown is refused, too: Docker's own bridge ignores it, and the user finds out later.
 * Booleans are written as Go reads them, numbers in decimal digits.
 */
import { ControlError, orRefuse } from '../control/control-error.js';
import { AGEING_SECONDS, checkInterface, FDB_LIMIT, MTU } from '../control/limits.js';
import type { CreateBridge, MssClamp } from '../control/model.js';
import { isLoopbackIpv4, isUnicastIpv4, parseIpv4 } from '../wire/ipv4-address.js';

/** What the options of a network say together. */
export interface NetworkOptions {
  bridge: Partial<CreateBridge>;
  /** Interfaces of containers are called so, and a number. */
  interfacePrefix: string;
  /** Where ports are published that name no address of the host; null: at all of them. */
  hostBinding: string | null;
  /** The bridge has no address: somebody else on it is the gateway. */
  inhibitIpv4: boolean;
  gatewayMode: 'nat' | 'isolated';
}

type Apply = (options: NetworkOptions, value: string, name: string) => void;

export interface NetworkOption {
  /** For people, as the end of "-o NAME: ...". */
  meaning: string;
  apply: Apply;
}

/** Room for the number that dockerd adds. */
const MAX_PREFIX_BYTES = 11;
const NETWORK = 'com.docker.network.';
const BRIDGE = `${NETWORK}bridge.`;
const OWN = 'tapbridge.';
export const HOST_IPV4 = `${NETWORK}host_ipv4`;
export const UPLINK = `${OWN}uplink`;
export const MSS_CLAMP = `${OWN}mss_clamp`;

export const NETWORK_OPTIONS: Readonly<Record<string, NetworkOption>> = {
  [`${BRIDGE}name`]: {
    meaning: 'name of the bridge and of its host port (default: tb- and 12 digits of the id of the network)',
    apply: ({ bridge }, value) => {
      bridge.name = value;
    },
  },
  [`${BRIDGE}enable_icc`]: {
    meaning: 'false: containers reach each other by published ports only',
    apply: ({ bridge }, value, name) => {
      bridge.icc = truth(name, value);
    },
  },
  [`${BRIDGE}enable_ip_masquerade`]: {
    meaning: 'true; false is refused',
    apply: (_, value, name) => {
      if (truth(name, value)) return;
      const why = 'the gateway always translates: outside nobody knows the way back to addresses of containers';
      throw refused(name, value, why, `leave it out; choose the address with ${HOST_IPV4}`);
    },
  },
  [`${BRIDGE}host_binding_ipv4`]: {
    meaning: 'address of the host ports are published at that name none; no effect without an uplink, where none are published',
    apply: (options, value, name) => {
      options.hostBinding = hostAddress(name, value);
    },
  },
  [`${BRIDGE}gateway_mode_ipv4`]: {
    meaning: 'nat; isolated with --internal: no address of the host on the network; others are refused',
    apply: (options, value, name) => {
      if (value === 'nat' || value === 'isolated') {
        options.gatewayMode = value;
        return;
      }
      const known = value === 'nat-unprotected' || value === 'routed';
      const why = known ? 'outside nobody knows the way to addresses of containers' : 'there is no such mode';
      throw refused(name, value, why, 'use nat and publish the ports, or isolated with --internal');
    },
  },
  [`${BRIDGE}gateway_mode_ipv6`]: {
    meaning: 'isolated, which is what there is: IPv6 is bridged, without a gateway; others are refused',
    apply: (_, value, name) => {
      if (value === 'isolated') return;
      throw refused(name, value, 'IPv6 is bridged between containers, and has no gateway', 'use isolated, or leave it out');
    },
  },
  [`${BRIDGE}inhibit_ipv4`]: {
    meaning: 'true: the bridge has no address; the gateway of the containers is somebody else on the network',
    apply: (options, value, name) => {
      options.inhibitIpv4 = truth(name, value);
    },
  },
  [`${BRIDGE}default_bridge`]: {
    meaning: 'false; true is refused',
    apply: (_, value, name) => {
      if (!truth(name, value)) return;
      throw refused(name, value, "the default bridge is Docker's own", 'run dockerd with --bridge=none, and name this network');
    },
  },
  [`${BRIDGE}trusted_host_interfaces`]: {
    meaning: 'refused',
    apply: (_, value, name) => {
      throw refused(name, value, 'containers are reached from outside by published ports only', 'publish the ports');
    },
  },
  [`${NETWORK}driver.mtu`]: {
    meaning: 'MTU of the bridge and of the interfaces of containers (default: 1500)',
    apply: ({ bridge }, value, name) => {
      bridge.mtu = whole(name, value, MTU);
    },
  },
  [`${NETWORK}container_iface_prefix`]: {
    meaning: 'interfaces of containers are called so, and a number (default: eth)',
    apply: (options, value, name) => {
      if (value === '' || Buffer.byteLength(value) > MAX_PREFIX_BYTES) {
        throw refused(name, value, `it has 1 to ${MAX_PREFIX_BYTES} bytes`, 'choose one like eth');
      }
      checkInterface(`${value}0`);
      options.interfacePrefix = value;
    },
  },
  [HOST_IPV4]: {
    meaning: "address of the host that flows to the outside are translated to (default: the uplink's)",
    apply: ({ bridge }, value) => {
      bridge.egressAddress = value;
    },
  },
  [`${NETWORK}host_ipv6`]: {
    meaning: 'refused',
    apply: (_, value, name) => {
      throw refused(name, value, 'IPv6 is bridged between containers, and has no gateway', 'leave it out');
    },
  },
  [`${NETWORK}advertise_addr_nmsgs`]: {
    meaning: 'how often dockerd announces the address of a container; dockerd does it, from version 28 on',
    apply: (_, value, name) => void whole(name, value, { min: 0, max: 3 }),
  },
  [`${NETWORK}advertise_addr_ms`]: {
    meaning: 'milliseconds between these; dockerd does it, from version 28 on',
    apply: (_, value, name) => void whole(name, value, { min: 100, max: 2000 }),
  },
  [`${NETWORK}enable_ipv4`]: flag('--ipv4'),
  [`${NETWORK}enable_ipv6`]: flag('--ipv6'),
  [`${NETWORK}internal`]: flag('--internal'),
  [UPLINK]: {
    meaning: 'the way out: auto, none, or names of interfaces, separated by commas (default: auto)',
    apply: ({ bridge }, value) => {
      bridge.uplink = value;
    },
  },
  [`${OWN}ageing`]: {
    meaning: 'seconds a MAC is remembered (default: 300; 0: never learn)',
    apply: ({ bridge }, value, name) => {
      bridge.ageingSeconds = whole(name, value, AGEING_SECONDS);
    },
  },
  [`${OWN}fdb_limit`]: {
    meaning: 'MACs remembered at most (default: 65536)',
    apply: ({ bridge }, value, name) => {
      bridge.fdbLimit = whole(name, value, FDB_LIMIT);
    },
  },
  [`${OWN}arp_proxy`]: {
    meaning: 'whether the bridge answers ARP itself (default: true)',
    apply: ({ bridge }, value, name) => {
      bridge.arpProxy = truth(name, value);
    },
  },
  [MSS_CLAMP]: {
    meaning: "lower TCP's MSS to what the uplink takes: auto, on or off (default: auto, where its MTU is smaller)",
    apply: ({ bridge }, value, name) => {
      if (value !== 'auto' && value !== 'on' && value !== 'off') {
        throw refused(name, value, 'there is no such setting', 'use auto, on or off');
      }
      bridge.mssClamp = value satisfies MssClamp;
    },
  },
};

/** Of an endpoint: what dockerd itself says or does, and what a remote driver cannot do. */
const IFNAME = `${NETWORK}endpoint.ifname`;
const DOCKER_OWN = 'com.docker.';

/** Reads `Options` of CreateNetwork. @throws ControlError invalid, which names the option */
export function networkOptions(given: Readonly<Record<string, unknown>>): NetworkOptions {
  const options: NetworkOptions = {
    bridge: {},
    interfacePrefix: 'eth',
    hostBinding: null,
    inhibitIpv4: false,
    gatewayMode: 'nat',
  };
  const generic = given[`${NETWORK}generic`] ?? {};
  if (typeof generic !== 'object' || Array.isArray(generic)) throw new ControlError('invalid', 'the options are no map');
  for (const [name, value] of Object.entries(generic)) {
    if (typeof value !== 'string') throw new ControlError('invalid', `the option ${name} is no text`);
    const option = Object.hasOwn(NETWORK_OPTIONS, name) ? NETWORK_OPTIONS[name] : undefined;
    if (option === undefined) throw unknownOption(name);
    option.apply(options, value, name);
  }
  return options;
}

/** `--driver-opt` of `docker network connect`. What dockerd adds or does itself is passed over. @throws ControlError invalid */
export function checkEndpointOptions(given: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(given)) {
    if (name === IFNAME) {
      const what = `${name} has no effect with this network: dockerd names the interfaces of plugins itself`;
      throw new ControlError('invalid', what, `leave it out, or make the network with -o ${NETWORK}container_iface_prefix`);
    }
    if (!name.startsWith(DOCKER_OWN)) {
      throw new ControlError('invalid', `tapbridge knows no option ${name} of an endpoint`, 'leave it out');
    }
  }
}

/** As Go's strconv.ParseBool. */
export function truth(name: string, value: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw refused(name, value, 'it is true or false', 'write one of them');
}

/** An address of the host to publish at, null for all. @throws ControlError */
export function hostAddress(name: string, value: string): string | null {
  const hint = 'name an IPv4 address of the host, or none';
  if (value.includes(':')) throw refused(name, value, 'ports are published at IPv4 addresses only', hint);
  const address = orRefuse('invalid', () => parseIpv4(value), hint);
  if (address === 0) return null;
  if (isUnicastIpv4(address) || isLoopbackIpv4(address)) return value;
  throw refused(name, value, 'that is no address of a host', hint);
}

function flag(option: string): NetworkOption {
  const apply: Apply = (_, value, name) => {
    throw refused(name, value, `it is ${option}`, `write ${option}`);
  };
  return { meaning: `refused: write ${option}`, apply };
}

function whole(name: string, value: string, { min, max }: { min: number; max: number }): number {
  const number = /^[0-9]{1,9}$/.test(value) ? Number(value) : -1;
  if (number < min || number > max)
    throw refused(name, value, `it is a whole number from ${min} to ${max}`, 'choose one of these');
  return number;
}

function refused(name: string, value: string, why: string, hint: string): ControlError {
  return new ControlError('invalid', `${name}=${value} cannot be: ${why}`, hint);
}

function unknownOption(name: string): ControlError {
  if (name === 'mtu') {
    return new ControlError('invalid', 'tapbridge knows no option mtu', `write -o ${NETWORK}driver.mtu=...`);
  }
  const own = Object.keys(NETWORK_OPTIONS).filter((each) => each.startsWith(OWN));
  const hint = name.startsWith(OWN) ? `there are: ${own.join(', ')}` : 'leave it out';
  return new ControlError('invalid', `tapbridge knows no option ${name}`, hint);
}
