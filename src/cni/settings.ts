/**
 * What the configuration says about bridge and port. Keys of the reference plugin `bridge` have the same name and the same meaning here, or are
 * refused by name; a value that is that plugin's default for something there is not here is accepted.
 */
import { MTU } from '../control/limits.js';
import { CniError, Code } from './cni-error.js';
import { booleanAt, type Fields, listAt, objectAt, refuseOthers, textAt, textsAt, unsupported, wholeAt } from './fields.js';

export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

export interface Settings {
  /** Of the bridge when it is made, and of the port; undefined: the bridge's. */
  mtu: number | undefined;
  /** Whether the bridge has the network's gateway address; undefined: when the IPAM names one. */
  isGateway: boolean | undefined;
  /** A default route by the bridge, whether the IPAM says so or not. */
  isDefaultGateway: boolean;
  /** Traffic to the outside is translated by the gateway; false: the host's own kernel routes it as it is. */
  ipMasq: boolean;
  internal: boolean;
  uplink: string | undefined;
  hairpin: boolean;
  isolated: boolean;
  /** Only the port's own MAC may send. */
  locked: boolean;
  dns: Dns;
}

const MAX_TEXTS = 64;

/** Of the runtime and of the list: not ours, never refused. `cni.dev/...` is reserved, too. */
export const RUNTIME_KEYS: readonly string[] = [
  'cniVersion',
  'cniVersions',
  'name',
  'type',
  'capabilities',
  'runtimeConfig',
  'prevResult',
  'args',
  'disableCheck',
  'disableGC',
  'loadOnlyInlinedPlugins',
];
const OWN_KEYS = [
  'bridge',
  'socket',
  'state',
  'ipam',
  'dns',
  'mtu',
  'isGateway',
  'isDefaultGateway',
  'ipMasq',
  'internal',
  'uplink',
  'hairpinMode',
  'portIsolation',
  'macspoofchk',
];
/** Keys of `bridge` with their defaults there: those are what happens here, too. */
const ONLY_DEFAULT = new Map(
  Object.entries({
    forceAddress: { value: false, why: 'a bridge keeps its address; remove it with "tapbridge rm" to give it another' },
    promiscMode: { value: false, why: 'the host port needs no promiscuous mode' },
    enabledad: { value: false, why: 'addresses are usable at once, without duplicate address detection' },
    disableContainerInterface: { value: false, why: "the container's interface is set up whole" },
  }),
);
const REFUSED = new Map(
  Object.entries({
    vlan: 'VLANs of a port are not there yet',
    vlanTrunk: 'VLANs of a port are not there yet',
    preserveDefaultVlan: 'VLANs of a port are not there yet',
    ipMasqBackend: 'tapbridge translates by itself, without iptables or nftables',
  }),
);

/** What a user may write, refused ones included. */
export const KEYS: readonly string[] = [...OWN_KEYS, ...ONLY_DEFAULT.keys(), ...REFUSED.keys()];

/** @throws CniError 2, 7 */
export function readSettings(fields: Fields): Settings {
  for (const [key, value] of Object.entries(fields)) {
    const why = REFUSED.get(key);
    if (why !== undefined) throw unsupported('', key, value, why);
    const only = ONLY_DEFAULT.get(key);
    if (only !== undefined && value !== only.value) throw unsupported('', key, value, only.why);
  }
  const known = Object.keys(fields).filter((key) => key.startsWith('cni.dev/'));
  refuseOthers('', fields, [...RUNTIME_KEYS, ...OWN_KEYS, ...ONLY_DEFAULT.keys(), ...known]);
  const isDefaultGateway = booleanAt(fields, 'isDefaultGateway') ?? false;
  const internal = booleanAt(fields, 'internal') ?? false;
  const ipMasq = booleanAt(fields, 'ipMasq') ?? true;
  const uplink = textAt(fields, 'uplink');
  if (!ipMasq && uplink !== undefined) {
    const what = 'ipMasq false lets the kernel route, which chooses the way out itself: uplink makes no sense with it';
    throw new CniError(Code.invalidConfig, what, 'leave one of them out');
  }
  return {
    mtu: wholeAt(fields, 'mtu', { min: 0, max: MTU.max }) === 0 ? undefined : wholeAt(fields, 'mtu', MTU),
    isGateway: isDefaultGateway ? true : booleanAt(fields, 'isGateway'),
    isDefaultGateway,
    ipMasq,
    internal,
    uplink,
    hairpin: booleanAt(fields, 'hairpinMode') ?? false,
    isolated: booleanAt(fields, 'portIsolation') ?? false,
    locked: booleanAt(fields, 'macspoofchk') ?? false,
    dns: readDns(objectAt(fields, 'dns')),
  };
}

/** As a result has it: only what is there. @throws CniError 7 */
export function readDns(fields: Fields | undefined): Dns {
  if (fields === undefined) return {};
  const dns: Dns = {};
  const nameservers = textsAt(fields, 'nameservers', MAX_TEXTS);
  const domain = textAt(fields, 'domain');
  const search = textsAt(fields, 'search', MAX_TEXTS);
  const options = textsAt(fields, 'options', MAX_TEXTS);
  if (nameservers !== undefined && nameservers.length > 0) dns.nameservers = nameservers;
  if (domain !== undefined && domain !== '') dns.domain = domain;
  if (search !== undefined && search.length > 0) dns.search = search;
  if (options !== undefined && options.length > 0) dns.options = options;
  return dns;
}

/** @returns undefined when the verb's input has no list of them @throws CniError 7 */
export function readAttachments(fields: Fields): { containerId: string; ifname: string }[] | undefined {
  const key = 'cni.dev/valid-attachments';
  const list = listAt(fields, key, 1 << 16);
  return list?.map((each) => {
    const { containerID, ifname } = (typeof each === 'object' && each !== null ? each : {}) as Fields;
    if (typeof containerID !== 'string' || typeof ifname !== 'string') {
      throw new CniError(Code.invalidConfig, `each of ${key} must have a containerID and an ifname`);
    }
    return { containerId: containerID, ifname };
  });
}
