/** What every verb needs of the configuration: which network, where its daemon is, who gives the addresses. */
import { DEFAULT_SOCKET, DEFAULT_STATE, socketPathProblem } from '../control/paths.js';
import { CniError, Code } from './cni-error.js';
import { type Fields, objectAt, objectOf, textAt } from './fields.js';
import { bridgeNameOf } from './names.js';
import { isVersion, VERSIONS, type Version } from './version.js';

export interface Network {
  version: Version;
  name: string;
  bridge: string;
  /** The configuration names the bridge: it may be one made by hand. */
  bridgeNamed: boolean;
  socket: string;
  /** Directory of the daemon's state. */
  state: string;
  /** null: no addresses at all. */
  ipam: { type: string; own: boolean; fields: Fields } | null;
  /** The whole configuration, and as it came: delegated plugins get the same bytes. */
  fields: Fields;
  text: string;
}

/** What `type` may be for this program. */
export const OWN_TYPES: readonly string[] = ['tapbridge', 'tapbridge-cni'];
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const MAX_NAME_BYTES = 255;

/** @throws CniError 6 */
export function parseInput(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(Code.decoding, `error unmarshall network config: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CniError(Code.decoding, 'error unmarshall network config: it is no object');
  }
  return value as Fields;
}

/** @throws CniError 1, 7 */
export function readNetwork(fields: Fields, text: string): Network {
  const version = fields['cniVersion'];
  if (!isVersion(version)) {
    const details = `config is ${JSON.stringify(version ?? '')}, plugin supports ${JSON.stringify(VERSIONS)}`;
    throw new CniError(Code.incompatibleVersion, 'incompatible CNI versions', details);
  }
  const name = textAt(fields, 'name') ?? '';
  if (name === '') throw new CniError(Code.invalidConfig, 'missing network name');
  if (!NAME.test(name) || name.length > MAX_NAME_BYTES) {
    const details = `use up to ${MAX_NAME_BYTES} letters, digits, "_", "." and "-", beginning with a letter or digit`;
    throw new CniError(Code.invalidConfig, `${JSON.stringify(name)} cannot name a network`, details);
  }
  const bridge = textAt(fields, 'bridge');
  const socket = textAt(fields, 'socket') ?? (process.env['TAPBRIDGE_SOCKET'] || DEFAULT_SOCKET);
  const problem = socketPathProblem(socket);
  if (problem !== undefined) throw new CniError(Code.invalidConfig, problem);
  return {
    version,
    name,
    bridge: bridge ?? bridgeNameOf(name),
    bridgeNamed: bridge !== undefined,
    socket,
    state: textAt(fields, 'state') ?? DEFAULT_STATE,
    ipam: readIpam(fields),
    fields,
    text,
  };
}

function readIpam(fields: Fields): Network['ipam'] {
  const ipam = objectAt(fields, 'ipam');
  if (ipam === undefined || Object.keys(ipam).length === 0) return null;
  const type = textAt(objectOf('ipam', ipam), 'type') ?? '';
  if (type === '')
    throw new CniError(Code.invalidConfig, 'ipam has no type', 'write "host-local", "tapbridge", or another plugin');
  if (/[/\\\0]/.test(type) || type === '.' || type === '..') {
    throw new CniError(Code.invalidConfig, `ipam.type ${JSON.stringify(type)} is no name of a plugin`);
  }
  const own = OWN_TYPES.includes(type);
  const caller = textAt(fields, 'type') ?? '';
  if (own && !OWN_TYPES.includes(caller)) {
    const what = `ipam type ${type} gives addresses on tapbridge's own bridges only, not for ${JSON.stringify(caller)}`;
    throw new CniError(Code.invalidConfig, what, 'use host-local there');
  }
  return { type, own, fields: ipam };
}
