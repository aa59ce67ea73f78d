/** The API's objects of the gateway: rules, publishes, flows, uplinks. As schemas.ts, compared with the types of control/model by the compiler. */
import { z } from '@hono/zod-openapi';
import * as model from '../control/model.js';
import { GATEWAY_COUNTERS } from '../core/counters.js';
import { wholeNumber } from './problem.js';
import { container, counters, text } from './schema-parts.js';

const PORT = { min: 1, max: 65_535 } as const;
/** Of flows: the id of an ICMP query may be 0. */
const FLOW_PORT = { min: 0, max: 65_535 } as const;
/** As many as the engine takes; each is asked for every new flow. */
const MAX_RULES = 1024;

const protocol = z
  .string()
  .regex(/^(tcp|udp|icmp|[0-9]{1,3})$/, { error: 'must be tcp, udp, icmp or a number up to 255' })
  .openapi({ example: 'tcp' });
const ports = z
  .string()
  .regex(/^[0-9]{1,5}(-[0-9]{1,5})?$/, { error: 'must be a port like 80 or a range like 8000-8999' })
  .openapi({ example: '8000-8999' });
const address = text('192.0.2.1').max(64);
const fromQuery = (range: { min: number; max: number }) => z.coerce.number().pipe(wholeNumber(range));

export const Rule = z
  .strictObject({
    action: z.enum(['allow', 'deny']),
    direction: z.enum(['in', 'out', 'both']).optional(),
    protocol: protocol.optional(),
    remote: text('198.51.100.0/24').max(64).optional(),
    ports: ports.optional(),
    port: text('web').optional(),
  })
  .openapi('Rule') satisfies z.ZodType<model.Rule>;
export const Rules = z.array(Rule).max(MAX_RULES, { error: `must be at most ${MAX_RULES} rules` });

export const uplink = text('auto').max(512);
export const egressAddress = address.nullable();
export const mssClamp = z.enum(['auto', 'on', 'off']);

/** A query has no null. */
export const ANY_ADDRESS = '0.0.0.0';

const transport = z.enum(['tcp', 'udp']);
const hostAddress = address.nullable();
export const PublishInfo = z
  .strictObject({
    bridge: text('tb0'),
    protocol: transport,
    hostAddress,
    hostPort: z.number(),
    hostPortEnd: z.number(),
    port: z.number(),
    portName: text('web'),
    container: container.nullable(),
    address: text('10.1.0.2'),
    listening: z.boolean(),
  })
  .openapi('Publish') satisfies z.ZodType<model.PublishInfo>;
export const AddPublish = z
  .strictObject({
    protocol: transport.optional(),
    hostAddress: hostAddress.optional(),
    hostPort: wholeNumber(PORT).openapi({ example: 8080 }),
    hostPortEnd: wholeNumber(PORT).optional(),
    port: wholeNumber(PORT).openapi({ example: 80 }),
    portName: text('web'),
    reservation: z.enum(model.RESERVATIONS).optional(),
  })
  .openapi('AddPublish') satisfies z.ZodType<model.AddPublish>;
export const RemovePublishQuery = z.strictObject({
  protocol: transport.optional(),
  hostAddress: address.optional().describe(`${ANY_ADDRESS}: one for all addresses of the host; absent: whichever there is`),
  hostPort: fromQuery(PORT),
  hostPortEnd: fromQuery(PORT).optional(),
}) satisfies z.ZodType<model.RemovePublish>;

const ends = z.strictObject({
  source: text('10.1.0.2'),
  destination: text('192.0.2.1'),
  sourcePort: z.number().nullable(),
  destinationPort: z.number().nullable(),
});
const bothWays = z.strictObject({ original: z.number(), reply: z.number() });
export const FlowInfo = z
  .strictObject({
    protocol: text('tcp'),
    state: text('established'),
    assured: z.boolean(),
    original: ends,
    reply: ends,
    bridge: text('tb0'),
    port: text('web').nullable(),
    timeout: z.number(),
    age: z.number(),
    packets: bothWays,
    bytes: bothWays,
  })
  .openapi('Flow') satisfies z.ZodType<model.FlowInfo>;
export const FlowEvent = z
  .strictObject({
    event: z.enum(['new', 'update', 'destroy', 'lost']),
    reason: z.string().optional(),
    flow: FlowInfo.optional(),
    lost: z.number().optional(),
  })
  .openapi('FlowEvent') satisfies z.ZodType<model.FlowEvent>;
export const FlowQuery = z.strictObject({
  address: text('192.0.2.0/24').max(64).optional(),
  port: fromQuery(FLOW_PORT).optional(),
  protocol: protocol.optional(),
  state: text('established').max(32).optional(),
  portName: text('web').optional(),
}) satisfies z.ZodType<model.FlowQuery>;
export const Ended = z.strictObject({ ended: z.number() }).openapi('Ended');

export const UplinkInfo = z
  .strictObject({
    interface: text('eth0'),
    state: z.enum(['up', 'down']),
    mac: text('02:00:00:00:00:01'),
    mtu: z.number(),
    addresses: z.array(text('192.0.2.2')),
    guard: z.enum(['ebpf', 'ebpf-tc', 'classic']),
    bridges: z.array(text('tb0')),
    counters: counters(GATEWAY_COUNTERS),
  })
  .openapi('Uplink') satisfies z.ZodType<model.UplinkInfo>;
export const GatewayInfo = z
  .strictObject({
    filter: z.enum(['apdf', 'adf', 'eif']),
    flows: z.number(),
    flowLimit: z.number(),
    mappings: z.number(),
    mappingLimit: z.number(),
    pools: z.array(z.strictObject({ address: text('192.0.2.2'), protocol: text('tcp'), used: z.number(), size: z.number() })),
    timeouts: z.record(z.string(), z.number()),
  })
  .openapi('Gateway') satisfies z.ZodType<model.GatewayInfo>;
