/**
 * What dockerd sends, as far as anything here looks at it. Keys nobody knows are passed over: newer engines add some. What is known is bounded and of its
 * kind, so that the drivers behind never see anything else. The protocol: github.com/moby/moby, libnetwork/docs/remote.md and ipam.md.
 */
import { z } from 'zod';
import { ControlError } from '../control/control-error.js';

/** Docker's ids are 64 hexadecimal digits, swarm's 25 of base 36; twelve of them name bridges and ports. */
const id = z.string().regex(/^[0-9A-Za-z]{12,128}$/, 'is no id of Docker');
const text = z.string().max(4096);
const cidr = z.string().max(64);
const address = z.string().max(64);
/** Go writes a map that is not there as null. */
const options = z.record(text, z.unknown()).nullish();

const ipamData = z.object({
  AddressSpace: text.optional(),
  Pool: cidr.optional(),
  Gateway: cidr.optional(),
  AuxAddresses: z.record(text, text).nullish(),
});

export const CreateNetworkRequest = z.object({
  NetworkID: id,
  Options: options,
  IPv4Data: z.array(ipamData).max(64).nullish(),
  IPv6Data: z.array(ipamData).max(64).nullish(),
});
export type CreateNetworkRequest = z.infer<typeof CreateNetworkRequest>;

export const NetworkRequest = z.object({ NetworkID: id });
export const EndpointRequest = z.object({ NetworkID: id, EndpointID: id });

export const CreateEndpointRequest = z.object({
  NetworkID: id,
  EndpointID: id,
  Interface: z
    .object({ Address: cidr.optional(), AddressIPv6: cidr.optional(), MacAddress: z.string().max(64).optional() })
    .nullish(),
  Options: options,
});
export type CreateEndpointRequest = z.infer<typeof CreateEndpointRequest>;

export const JoinRequest = z.object({
  NetworkID: id,
  EndpointID: id,
  SandboxKey: z.string().regex(/^\/[^\0]{1,4095}$/, 'is no absolute path'),
  Options: options,
});
export type JoinRequest = z.infer<typeof JoinRequest>;

const port = z.int().min(0).max(65_535);
/** One `-p`; HostPort 0: any free one, HostPortEnd beyond HostPort: any free one of these. */
export const PortMapEntry = z.object({
  Proto: z.int().min(0).max(255),
  Port: port.min(1),
  HostIP: address.default(''),
  HostPort: port.default(0),
  HostPortEnd: port.default(0),
});
export type PortMapEntry = z.infer<typeof PortMapEntry>;
export const PORT_MAP = 'com.docker.network.portmap';
const portMap = z.array(PortMapEntry).max(131_072).nullish();

export const ProgramRequest = z.object({
  NetworkID: id,
  EndpointID: id,
  Options: z.looseObject({ [PORT_MAP]: portMap }).nullish(),
});

export const GwAllocCheckRequest = z.object({ Options: options });

export const RequestPoolRequest = z.object({
  AddressSpace: text,
  Pool: cidr.default(''),
  SubPool: cidr.default(''),
  Options: z.record(text, text).nullish(),
  V6: z.boolean().default(false),
});
export type RequestPoolRequest = z.infer<typeof RequestPoolRequest>;

const poolId = z.string().max(256);
export const ReleasePoolRequest = z.object({ PoolID: poolId });
export const RequestAddressRequest = z.object({
  PoolID: poolId,
  Address: address.default(''),
  Options: z.record(text, text).nullish(),
});
export type RequestAddressRequest = z.infer<typeof RequestAddressRequest>;
export const ReleaseAddressRequest = z.object({ PoolID: poolId, Address: address });

/** A request of this shape. @throws ControlError invalid, with the key and what is wrong there */
export function parseRequest<T extends z.ZodType>(shape: T, body: unknown): z.infer<T> {
  const result = shape.safeParse(body);
  if (result.success) return result.data;
  const [{ path, message }] = result.error.issues;
  throw new ControlError('invalid', `Docker's request is not understood: ${[...path, message].join(' ')}`);
}
