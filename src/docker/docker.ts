/**
 * tapbridge as a plugin of Docker: one socket, two protocols.
 *
 *     dockerd ══ NAME.sock ══▶ PluginServer ─┬─▶ NetworkDriver ─┬─▶ Control (bridges, ports, publishes)
 *                                            │                  ├─▶ Collector (what dockerd never says)
 *                                            │                  └─▶ Followers (names, from Docker's own API)
 *                                            └─▶ IpamDriver
 *                                 both ─▶ DockerRecord, on disk before each answer
 *
 * The daemon listens on the socket; here is the server that answers. It begins after the record was restored, so whoever connects finds all of it.
 */
import type { Server } from 'node:http';
import { type Log, reasonOf } from '../control/log.js';
import type { Binding } from '../native/binding.js';
import { findLink } from '../netlink/link.js';
import { Netlink } from '../netlink/netlink.js';
import { Collector } from './collector.js';
import type { DockerControl } from './docker-control.js';
import { DockerRecord, type RecordPlace } from './docker-record.js';
import { hostSubnets } from './host-subnets.js';
import { type DefaultPool, IpamDriver } from './ipam-driver.js';
import { type Followers, NetworkDriver } from './network-driver.js';
import { pluginMethods } from './plugin-methods.js';
import { PluginServer } from './plugin-server.js';

/** Where dockerd looks for a plugin first. */
export const PLUGIN_DIRECTORY = '/run/docker/plugins';
export const DEFAULT_DRIVER = 'tapbridge';
/** What dockerd accepts as the name of a plugin here: a file name, and what `-d` takes. */
const DRIVER_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/;
const COLLECT_MILLIS = 60_000;

export interface DockerOptions {
  binding: Binding;
  control: DockerControl;
  record: RecordPlace;
  log: Log;
  /** Default: none. */
  followers?: Followers;
  /** Subnets for networks whose users choose none. */
  pools?: readonly DefaultPool[] | undefined;
}

export class Docker {
  private readonly plugin: PluginServer;
  private readonly network: NetworkDriver;
  private readonly ipam: IpamDriver;
  private readonly collector: Collector;
  private readonly record: DockerRecord;
  private readonly netlink: Netlink;
  private readonly log: Log;
  private timer: NodeJS.Timeout | undefined;

  private constructor(options: DockerOptions) {
    const { control, log } = options;
    this.log = log;
    this.netlink = Netlink.open(options.binding);
    const now = () => Math.floor(Date.now() / 1000);
    const record = new DockerRecord(options.record, log);
    this.record = record;
    this.collector = new Collector({ control, record, log, now });
    const followers = options.followers ?? NOBODY;
    const interfaceExists = (name: string) => findLink(this.netlink, name) !== undefined;
    this.network = new NetworkDriver({ control, record, collector: this.collector, followers, interfaceExists, now });
    const used = () => hostSubnets(this.netlink);
    this.ipam = new IpamDriver({ control, record, used, now, ...(options.pools && { defaultPools: options.pools }) });
    this.plugin = new PluginServer({ methods: pluginMethods(this.network, this.ipam), log });
  }

  /** Makes what is missing and ends what is gone; calls are answered once somebody listens with `server`. @throws the system's error */
  static async start(options: DockerOptions): Promise<Docker> {
    const docker = new Docker(options);
    try {
      await docker.collector.restore();
    } catch (error) {
      docker.netlink.close();
      throw error;
    }
    // From now on a bridge without record is one that was interrupted, not one whose record was lost. Not before: killed between the two, the daemon would
    // take all networks for interrupted ones.
    if (docker.record.isNew) docker.record.save();
    docker.timer = setInterval(() => docker.collect(), COLLECT_MILLIS).unref();
    return docker;
  }

  get server(): Server {
    return this.plugin.server;
  }

  /** Ends the looking; calls that are under way are finished first. What is on disk stays. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.plugin.between(async () => this.record.close());
    this.netlink.close();
  }

  /** A network Docker itself has forgotten, and will never say so. */
  removeNetwork(id: string): Promise<void> {
    return this.plugin.between(async () => {
      // First, since its record says which they are: when the bridge cannot be removed, asking again still ends both.
      this.ipam.dropPoolsOf(id);
      await this.network.deleteNetwork({ NetworkID: id });
    });
  }

  private collect(): void {
    const collect = async () => {
      await this.collector.collect();
      this.ipam.collect();
    };
    this.plugin.between(collect).catch((error) => {
      this.log.error({ reason: reasonOf(error) }, 'cannot collect what Docker left');
    });
  }
}

const NOBODY: Followers = { learn() {}, forgetEndpoint() {}, forgetNetwork() {} };

/** Why `name` cannot name a driver, as the end of a sentence; undefined when it can. */
export function driverNameProblem(name: string): string | undefined {
  return DRIVER_NAME.test(name) ? undefined : 'use up to 63 letters, digits, "_", "." and "-", beginning with a letter or digit';
}

export function pluginSocket(name: string): string {
  return `${PLUGIN_DIRECTORY}/${name}.sock`;
}
