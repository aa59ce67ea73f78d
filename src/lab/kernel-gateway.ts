/**
 * The kernel's gateway as a container engine makes it (Docker 20 to 28 without its userland proxy, iptables' nft backend): bridge and veth pairs,
 * ip_forward, MASQUERADE, DNAT, a FORWARD chain that drops by default.
 *
 * One rule differs: what one container sends to another's published port is masqueraded whoever sent it, Docker does so only for a container that
 * reaches itself. With bridge netfilter, which Docker turns on, the answer is translated back on the bridge either way; so the lab needs no module.
 * The kernel's forwarding and its NAT need `nft` (Debian package nftables).
 */
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeSysctl } from '../netlink/sysctl.js';
import { makeKernelBridge, makeKernelPort } from './connect-hosts.js';
import { GATEWAY_ADDRESS, GATEWAY_BRIDGE, type GatewayDriver, INSIDE_SUBNET, type PublishRequest } from './gateway-driver.js';
import type { Lab } from './lab.js';
import type { LabHost } from './lab-host.js';
import type { LabNamespace } from './lab-namespace.js';

const READY_MILLIS = 10_000;
const LOOK_MILLIS = 5;

/** Rules of a bridge whose containers reach the outside, and to whose ports `DOCKER` leads. */
function rules(bridge: string, subnet: string): string {
  return `
table ip filter {
  chain DOCKER-USER { counter return; }
  chain DOCKER-ISOLATION-STAGE-2 { oifname "${bridge}" counter drop; counter return; }
  chain DOCKER-ISOLATION-STAGE-1 { iifname "${bridge}" oifname != "${bridge}" counter jump DOCKER-ISOLATION-STAGE-2; counter return; }
  chain DOCKER { }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-ISOLATION-STAGE-1
    oifname "${bridge}" ct state related,established counter accept
    oifname "${bridge}" counter jump DOCKER
    iifname "${bridge}" oifname != "${bridge}" counter accept
    iifname "${bridge}" oifname "${bridge}" counter accept
  }
}
table ip nat {
  chain DOCKER { }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local counter jump DOCKER; }
  chain OUTPUT { type nat hook output priority -100; policy accept; fib daddr type local counter jump DOCKER; }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${bridge}" fib saddr type local counter masquerade
    ip saddr ${subnet} oifname != "${bridge}" counter masquerade
    ip saddr ${subnet} ip daddr ${subnet} ct status dnat counter masquerade
  }
}
`;
}

/** Makes a namespace with its uplink the gateway of a bridge. @throws Error without nft */
export function makeKernelGateway(host: LabNamespace, bridge: string, address: string, subnet: string): void {
  makeKernelBridge(host, bridge);
  host.configure(bridge, { address });
  host.inside(() => {
    writeSysctl('net/ipv4/ip_forward', 1);
    // 127.0.0.1 leads to published ports, too.
    writeSysctl(`net/ipv4/conf/${bridge}/route_localnet`, 1);
  });
  nft(host, rules(bridge, subnet));
}

/** Makes a container a port of that bridge, with its default route. */
export function plugIntoKernelGateway(
  host: LabNamespace,
  container: LabHost,
  address: string,
  gateway: string,
  bridge: string,
  mtu = 1500,
): void {
  makeKernelPort(host, bridge, `p-${container.name}`, container.namespace, 'eth0');
  container.namespace.configure('eth0', { address, gateway, mtu });
}

/** The kernel tells a bridge of new carriers at most once a second (net/core/link_watch.c); until then a port forwards nothing. */
export async function kernelPortsReady(host: LabNamespace): Promise<void> {
  const deadline = performance.now() + READY_MILLIS;
  while (host.interfaces().some(({ kind, up, operState }) => kind === 'veth' && up && operState !== 'up')) {
    if (performance.now() > deadline) throw new Error("a port of the kernel's bridge has no carrier");
    await sleep(LOOK_MILLIS);
  }
}

/** What a published port consists of: commands with the handle's comment, so that they can be found again. */
export function publishInKernel(
  host: LabNamespace,
  bridge: string,
  {
    protocol,
    hostPort,
    hostPortEnd = hostPort,
    hostAddress,
    address,
    port = hostPort,
  }: Omit<PublishRequest, 'container'> & { address: string },
): void {
  const id = nameOf({ protocol, hostPort, hostAddress });
  const to = hostAddress === undefined ? '' : `ip daddr ${hostAddress} `;
  const lines: string[] = [];
  for (let offset = 0; offset <= hostPortEnd - hostPort; offset++) {
    lines.push(
      `add rule ip nat DOCKER ${to}${protocol} dport ${hostPort + offset} counter dnat to ${address}:${port + offset} comment "${id}"`,
    );
  }
  const last = port + hostPortEnd - hostPort;
  lines.push(
    `add rule ip filter DOCKER oifname "${bridge}" ip daddr ${address} ${protocol} dport ${port}-${last} counter accept comment "${id}"`,
  );
  nft(host, `${lines.join('\n')}\n`);
}

function nameOf({
  protocol,
  hostPort,
  hostAddress = 'any',
}: {
  protocol: string;
  hostPort: number;
  hostAddress?: string | undefined;
}): string {
  return `${protocol}-${hostAddress}-${hostPort}`;
}

/** @returns standard output. @throws Error with what nft said */
function nft(host: LabNamespace, input: string, args: readonly string[] = ['-f', '-']): string {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  const { status, stdout, stderr, error } = host.inside(() => spawnSync('nft', args, { input, encoding: 'utf8', env }));
  if (error !== undefined) throw new Error('cannot start nft (Debian package nftables)', { cause: error });
  if (status !== 0) throw new Error(`nft: ${stderr.trim()}`);
  return stdout;
}

/** What a container sends to its own published port is to come back by the host's routing: bridged, it would need the port's hairpin mode. */
function routeHairpins(): void {
  try {
    writeSysctl('net/bridge/bridge-nf-call-iptables', 0);
  } catch {
    // Without the module bridged frames visit no rules.
  }
}

export class KernelGateway implements GatewayDriver {
  readonly name = 'kernel';
  readonly processes: readonly number[] = [];
  private host: LabNamespace | undefined;
  private mtu = 1500;

  async open(_lab: Lab, host: LabHost, { mtu }: { mtu: number }): Promise<void> {
    this.host = host.namespace;
    this.mtu = mtu;
    makeKernelGateway(this.inside, GATEWAY_BRIDGE, GATEWAY_ADDRESS, INSIDE_SUBNET);
    this.inside.inside(routeHairpins);
  }

  async attach(container: LabHost, address: string): Promise<void> {
    plugIntoKernelGateway(this.inside, container, address, GATEWAY_ADDRESS, GATEWAY_BRIDGE, this.mtu);
    await kernelPortsReady(this.inside);
  }

  async publish(request: PublishRequest & { address: string }): Promise<void> {
    publishInKernel(this.inside, GATEWAY_BRIDGE, request);
  }

  /** Existing flows go on until they time out, as with Docker. */
  async unpublish(request: PublishRequest): Promise<void> {
    const id = nameOf(request);
    for (const [table, chain] of [
      ['nat', 'DOCKER'],
      ['filter', 'DOCKER'],
    ]) {
      const listed = nft(this.inside, '', ['-a', 'list', 'chain', 'ip', table, chain]);
      const handles = listed.split('\n').filter((line) => line.includes(`"${id}"`));
      for (const line of handles) {
        const handle = /# handle (\d+)/.exec(line)?.[1] ?? '';
        nft(this.inside, '', ['delete', 'rule', 'ip', table, chain, 'handle', handle]);
      }
    }
  }

  private get inside(): LabNamespace {
    if (this.host === undefined) throw new Error('the gateway is not open');
    return this.host;
  }
}
