/** The outside of drivers that translate: b at the end of a veth pair that is the host's uplink, with a network of its own for many flows. */
import type { LabHost } from '../../../dist/lab/lab-host.js';
import type { LabNamespace } from '../../../dist/lab/lab-namespace.js';
import { createVeth } from '../../../dist/netlink/link.js';
import { NGINX_PORT, REDIS_PORT } from '../request-servers.js';

/** The gateway's address on the containers' side. */
export const GATEWAY = '198.18.0.254';
/** Test addresses of RFC 2544, the half that is not inside. */
export const OUTSIDE = '198.19.0.2';
export const OUTSIDE_OF_HOST = '198.19.0.1';
/** b has all of 10.64.0.0/14: a flow for each. */
export const OUTSIDE_NETWORK = '10.64.0.0';
export const OUTSIDE_PREFIX = 14;
export const UPLINK = 'eth0';
/** Ports of the host that lead to the same ports of a. */
export const NAT_PORTS = [5002, NGINX_PORT, REDIS_PORT];

/** Connects the host to b, which is its default router, and which knows no way inside. */
export function connectByUplink(host: LabNamespace, b: LabHost): void {
  createVeth(host.netlink, { name: UPLINK }, { name: 'eth0', netns: b.namespace.descriptor });
  b.namespace.configure('eth0', { address: OUTSIDE });
  // An address with its prefix on the loopback makes the whole network local.
  b.namespace.configure('lo', { address: OUTSIDE_NETWORK, prefix: OUTSIDE_PREFIX });
  host.configure(UPLINK, { address: OUTSIDE_OF_HOST, gateway: OUTSIDE });
}
