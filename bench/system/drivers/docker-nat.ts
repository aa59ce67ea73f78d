import { kernelPortsReady, makeKernelGateway, plugIntoKernelGateway, publishInKernel } from '../../../dist/lab/kernel-gateway.js';
import { A, type Driver, SUBNET } from '../driver.js';
import { BRIDGE, makeBridgeHost } from './kernel-bridge.js';
import { connectByUplink, GATEWAY, NAT_PORTS, OUTSIDE, OUTSIDE_OF_HOST } from './nat-uplink.js';

/**
 * What people replace, on the way out: docker0 with MASQUERADE, DNAT and connection tracking, and b outside, at the other end of a veth pair that is
 * the host's uplink. Bridge netfilter is as a new namespace has it: on, where the module is loaded, as Docker has it.
 */
export const dockerNat: Driver = {
  name: 'docker-nat',
  role: 'reference',
  what: "the kernel's bridge, forwarding and NAT as Docker sets them up; b is outside",
  needs: [{ command: 'nft', package: 'nftables' }],
  layer: 3,
  nat: true,
  ping: true,
  maxPorts: 2,
  async connect(lab, { a, b }) {
    const host = makeBridgeHost(lab);
    connectByUplink(host, b);
    makeKernelGateway(host, BRIDGE, GATEWAY, SUBNET);
    plugIntoKernelGateway(host, a, A, GATEWAY, BRIDGE);
    for (const port of NAT_PORTS) publishInKernel(host, BRIDGE, { protocol: 'tcp', hostPort: port, address: A });
    await kernelPortsReady(host);
    return { addressOfA: OUTSIDE_OF_HOST, addressOfB: OUTSIDE, processes: [] };
  },
};
