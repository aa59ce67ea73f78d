/**
 * docker.json: what dockerd was promised. dockerd replays no call of the network driver, so networks and endpoints are known from here or not at
 * all; the bridges are made again from it alone when the record of control is gone or empty, as after a reboot. Written before each answer.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { Log } from '../control/log.js';
import { RecordFile } from '../control/record-file.js';
import { parseAddress, Subnet } from './subnet.js';

const VERSION = 1;

const publishing = z.strictObject({
  protocol: z.enum(['tcp', 'udp']),
  /** The container's. */
  port: z.number(),
  hostAddress: z.string().nullable(),
  /** As asked for; 0: any. */
  hostPort: z.number(),
  hostPortEnd: z.number(),
  /** The host port that was taken. */
  chosen: z.number(),
});
const endpoint = z.strictObject({
  /** Name of its port, the beginning of its id. */
  port: z.string(),
  /** Name of the TAP at home. */
  source: z.string(),
  mac: z.string(),
  /** With the prefix. */
  ip: z.string().nullable(),
  ip6: z.string().nullable(),
  /** Path of the namespace it was joined to; null: not joined, or left. */
  sandbox: z.string().nullable(),
  /** Seconds since 1970 of the last CreateEndpoint, Join or Leave. */
  since: z.number(),
  publishings: z.array(publishing),
});
// What is read as addresses later must be some, or the start would fail over a record that could be set aside.
const subnetText = z.string().refine((text) => reads(() => Subnet.parse(text)));
const addressText = z.string().refine((text) => reads(() => parseAddress(text)));
const network = z.strictObject({
  id: z.string(),
  /** How its bridge is made. */
  bridge: z.strictObject({
    name: z.string(),
    subnet: z.string().optional(),
    gateway: z.string().optional(),
    mtu: z.number().optional(),
    ageingSeconds: z.number().optional(),
    fdbLimit: z.number().optional(),
    arpProxy: z.boolean().optional(),
    uplink: z.string().optional(),
    internal: z.boolean().optional(),
    icc: z.boolean().optional(),
    egressAddress: z.string().nullable().optional(),
    mssClamp: z.enum(['auto', 'on', 'off']).optional(),
  }),
  /** What containers are told; null: no default route. */
  gateway: z.string().nullable(),
  internal: z.boolean(),
  interfacePrefix: z.string(),
  hostBinding: z.string().nullable(),
  /** What an IPAM driver gave it, of both families: also what the bridge has no address of. */
  subnets: z.array(z.string()).default([]),
  endpoints: z.array(endpoint),
});
const pool = z.strictObject({
  id: z.string(),
  subnet: subnetText,
  /** Where addresses nobody chose come from; null: the whole subnet. */
  range: subnetText.nullable(),
  leases: z.array(addressText),
  /** The address given last: the next one is looked for behind it. */
  last: addressText.nullable(),
  /** Seconds since 1970 of the RequestPool that was answered last. */
  since: z.number(),
});
const DOCKER_RECORD = z.strictObject({
  version: z.literal(VERSION),
  networks: z.array(network),
  pools: z.array(pool),
});
export type SavedDocker = z.infer<typeof DOCKER_RECORD>;
export type Publishing = z.infer<typeof publishing>;
export type EndpointRecord = z.infer<typeof endpoint>;
export type SavedNetwork = z.infer<typeof network>;
export type NetworkRecord = Omit<SavedNetwork, 'endpoints'> & {
  /** By the names of their ports. */
  endpoints: Map<string, EndpointRecord>;
};
export type SavedPool = z.infer<typeof pool>;

/** Where the record lies; `load` answers null when there is none that can be read. */
export type RecordPlace = Pick<RecordFile<SavedDocker>, 'load' | 'save' | 'remove'>;

export class DockerRecord {
  /** By id. */
  readonly networks = new Map<string, NetworkRecord>();
  /** By id. */
  readonly pools = new Map<string, SavedPool>();
  /** Nothing could be read: what control has of Docker is all that is known. */
  readonly isNew: boolean;
  private readonly place: RecordPlace;

  /** @throws ControlError forbidden for a record somebody else may have written */
  constructor(place: RecordPlace, log: Log) {
    this.place = place;
    const saved = place.load(log);
    this.isNew = saved === null;
    for (const { endpoints, ...each } of saved?.networks ?? []) {
      this.networks.set(each.id, { ...each, endpoints: new Map(endpoints.map((one) => [one.port, one])) });
    }
    for (const each of saved?.pools ?? []) this.pools.set(each.id, each);
  }

  /** @throws the system's error: then nothing may be promised */
  save(): void {
    const networks = [...this.networks.values()].map((each) => ({ ...each, endpoints: [...each.endpoints.values()] }));
    this.place.save({ version: VERSION, networks, pools: [...this.pools.values()] });
  }

  /** After an orderly end nothing is left that says nothing. */
  close(): void {
    if (this.networks.size === 0 && this.pools.size === 0) this.place.remove();
  }
}

function reads(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}

/** docker.json in the state directory. */
export function recordIn(directory: string): RecordFile<SavedDocker> {
  return new RecordFile(join(directory, 'docker.json'), { schema: DOCKER_RECORD, version: VERSION });
}
