/**
 * A lab around a gateway: containers inside, three hosts outside, and the gateway under test between them.
 *
 *     inside 10.88.0.0/24                host                      link 192.0.2.0/24
 *     c1 .2 ──┐                  ┌──────────────────┐      ┌── near 192.0.2.9
 *     c2 .3 ──┴─ tb0 10.88.0.1 ──┤ gateway    eth0 ─┼──────┤
 *                                └─────── 192.0.2.2 ┘      └── router 192.0.2.1 ──┬── far   198.51.100.10
 *                                                                                 └── other 203.0.113.10
 *
 * Every box is a namespace of its own. The outside knows nothing of 10.88.0.0/24: what is not translated is not answered. `near` is on the host's
 * own link, the other two are behind the router, whose side of `far` may have a smaller MTU (what path MTU discovery is about).
 *
 * Checksums: between namespaces the kernel passes unfinished checksums on, and a socket takes such a frame without looking. With `checksums:
 * 'checked'` the outside hosts and the router's ports have no checksum offload (by ethtool): whatever arrives anywhere was finished before and is
 * verified by the stack it arrives at. That ends segmentation offload outside, too.
 */
import { spawnSync } from 'node:child_process';
import { createVeth, getLink, setLink } from '../netlink/link.js';
import { addRoute } from '../netlink/route.js';
import { writeSysctl } from '../netlink/sysctl.js';
import { makeKernelBridge, makeKernelPort } from './connect-hosts.js';
import { GATEWAY_ADDRESS, type GatewayDriver, type PublishRequest, UPLINK } from './gateway-driver.js';
import { KernelGateway, kernelPortsReady } from './kernel-gateway.js';
import { Lab } from './lab.js';
import type { LabHost } from './lab-host.js';
import type { LabNamespace } from './lab-namespace.js';
import { TapbridgeGateway } from './tapbridge-gateway.js';

const LINK = 'link0';

/** Who is where. */
export const ADDRESS = {
  c1: '10.88.0.2',
  c2: '10.88.0.3',
  gateway: GATEWAY_ADDRESS,
  host: '192.0.2.2',
  router: '192.0.2.1',
  near: '192.0.2.9',
  far: '198.51.100.10',
  farRouter: '198.51.100.1',
  other: '203.0.113.10',
  otherRouter: '203.0.113.1',
} as const;

export interface GatewayLabOptions {
  driver: 'kernel' | 'tapbridge';
  /** Of the names of its namespaces. Default 'tbgateway'. */
  prefix?: string;
  /** Of the link of the uplink. Default 1500. */
  uplinkMtu?: number;
  /** Between router and far. Default 1500. */
  farMtu?: number;
  /** Of bridge and containers. Default 1500. */
  insideMtu?: number;
  /** Default 'offloaded'. 'checked' needs ethtool. */
  checksums?: 'offloaded' | 'checked';
  /** Options of `tapbridge daemon`. */
  daemonOptions?: readonly string[];
}

export class GatewayLab {
  readonly lab: Lab;
  readonly driver: GatewayDriver;
  readonly host: LabHost;
  readonly c1: LabHost;
  readonly c2: LabHost;
  readonly near: LabHost;
  readonly far: LabHost;
  readonly other: LabHost;
  readonly router: LabNamespace;

  private constructor(lab: Lab, driver: GatewayDriver, hosts: Record<'host' | 'c1' | 'c2' | 'near' | 'far' | 'other', LabHost>) {
    this.lab = lab;
    this.driver = driver;
    this.host = hosts.host;
    this.c1 = hosts.c1;
    this.c2 = hosts.c2;
    this.near = hosts.near;
    this.far = hosts.far;
    this.other = hosts.other;
    this.router = lab.namespace('router');
  }

  /** Makes it all; both containers are attached. @throws Error, with nothing left behind */
  static async start(options: GatewayLabOptions): Promise<GatewayLab> {
    const { driver, prefix = 'tbgateway', insideMtu = 1500, daemonOptions = [] } = options;
    const lab = Lab.create(prefix);
    try {
      const [host, c1, c2, near, far, other] = await Promise.all(
        ['host', 'c1', 'c2', 'near', 'far', 'other'].map((name) => lab.host(name)),
      );
      const hosts = { host, c1, c2, near, far, other };
      for (const { namespace } of Object.values(hosts)) silence(namespace);
      const gateway = driver === 'kernel' ? new KernelGateway() : new TapbridgeGateway(daemonOptions);
      const made = new GatewayLab(lab, gateway, hosts);
      made.connectOutside(options);
      await kernelPortsReady(made.router);
      await gateway.open(lab, host, { mtu: insideMtu });
      await gateway.attach(c1, ADDRESS.c1);
      await gateway.attach(c2, ADDRESS.c2);
      return made;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** The gateway as tapbridge. @throws Error for the kernel's */
  get tapbridge(): TapbridgeGateway {
    if (this.driver instanceof TapbridgeGateway) return this.driver;
    throw new Error("this lab's gateway is the kernel's");
  }

  /** Leads a port of the host to a port of a container. */
  publish(request: PublishRequest): Promise<void> {
    return this.driver.publish({ ...request, address: request.container === this.c1 ? ADDRESS.c1 : ADDRESS.c2 });
  }

  /** Ends what the same request made. */
  unpublish(request: PublishRequest): Promise<void> {
    return this.driver.unpublish(request);
  }

  /** Switches the host's uplink. The default route goes with it and has to be set again, as an administrator's tool does. */
  setUplink(up: boolean): void {
    const { netlink } = this.host.namespace;
    const { index } = getLink(netlink, UPLINK);
    setLink(netlink, index, { up });
    if (up) addRoute(netlink, { destination: 'default', gateway: ADDRESS.router, index });
  }

  /** Ends everything. Idempotent. */
  close(): Promise<void> {
    return this.lab.close();
  }

  private connectOutside({ uplinkMtu = 1500, farMtu = 1500, checksums = 'offloaded' }: GatewayLabOptions): void {
    const { router, host, near } = this;
    silence(router);
    router.inside(() => writeSysctl('net/ipv4/ip_forward', 1));
    makeKernelBridge(router, LINK);
    for (const [each, address] of [
      [host, ADDRESS.host],
      [near, ADDRESS.near],
    ] as const) {
      makeKernelPort(router, LINK, `r-${each.name}`, each.namespace, UPLINK);
      router.configure(`r-${each.name}`, { mtu: uplinkMtu });
      each.namespace.configure(UPLINK, { address, gateway: ADDRESS.router, mtu: uplinkMtu });
    }
    router.configure(LINK, { address: ADDRESS.router, mtu: uplinkMtu });
    this.connectBehindRouter(this.far, ADDRESS.far, ADDRESS.farRouter, farMtu);
    this.connectBehindRouter(this.other, ADDRESS.other, ADDRESS.otherRouter, 1500);
    if (checksums === 'checked') this.finishChecksums();
  }

  private connectBehindRouter(host: LabHost, address: string, gateway: string, mtu: number): void {
    const end = `r-${host.name}`;
    createVeth(this.router.netlink, { name: end }, { name: UPLINK, netns: host.namespace.descriptor });
    this.router.configure(end, { address: gateway, mtu });
    host.namespace.configure(UPLINK, { address, gateway, mtu });
  }

  private finishChecksums(): void {
    for (const { namespace } of [this.near, this.far, this.other]) withoutChecksumOffload(namespace, UPLINK);
    for (const name of ['r-host', 'r-near', 'r-far', 'r-other']) withoutChecksumOffload(this.router, name);
  }
}

/** No IPv6: its neighbor discovery would stand between the frames a test looks at. Errors about what a test provokes are not held back. */
function silence(namespace: LabNamespace): void {
  namespace.inside(() => {
    for (const scope of ['all', 'default']) {
      try {
        writeSysctl(`net/ipv6/conf/${scope}/disable_ipv6`, 1);
      } catch {
        // A kernel without IPv6 has nothing to silence.
      }
    }
    writeSysctl('net/ipv4/icmp_ratelimit', 0);
  });
}

/** What the interface sends has its checksum finished. @throws Error without ethtool */
function withoutChecksumOffload(namespace: LabNamespace, ifname: string): void {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  const args = ['-K', ifname, 'tx', 'off'];
  const { status, stderr, error } = namespace.inside(() => spawnSync('ethtool', args, { encoding: 'utf8', env }));
  if (error !== undefined) throw new Error('cannot start ethtool (Debian package ethtool)', { cause: error });
  if (status !== 0) throw new Error(`ethtool: ${stderr.trim()}`);
}
