/** What a gateway lab asks of the gateway under test: tapbridge, or the kernel's NAT as a container engine sets it up. */
import type { Lab } from './lab.js';
import type { LabHost } from './lab-host.js';

/** The bridge of the containers and the gateway's address on it. */
export const GATEWAY_BRIDGE = 'tb0';
export const INSIDE_SUBNET = '10.88.0.0/24';
export const GATEWAY_ADDRESS = '10.88.0.1';
/** The host's interface to the outside. */
export const UPLINK = 'eth0';

/** A port of the host that leads to a port of a container. */
export interface PublishRequest {
  protocol: 'tcp' | 'udp';
  hostPort: number;
  /** Last of a range; default `hostPort`. */
  hostPortEnd?: number;
  /** Default: any address of the host. */
  hostAddress?: string;
  container: LabHost;
  /** Default: `hostPort`. Of a range, the first. */
  port?: number;
}

export interface GatewayDriver {
  readonly name: 'kernel' | 'tapbridge';
  /** Makes the bridge and the way out of it. The host has its uplink, addresses and routes by then. */
  open(lab: Lab, host: LabHost, settings: { mtu: number }): Promise<void>;
  /** Gives a container eth0 with an address of the subnet and a default route. */
  attach(container: LabHost, address: string): Promise<void>;
  publish(request: PublishRequest & { address: string }): Promise<void>;
  /** What was published by the same request. */
  unpublish(request: PublishRequest): Promise<void>;
  /** Processes that are the gateway's; none of the kernel's. */
  readonly processes: readonly number[];
}
