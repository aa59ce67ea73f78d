/** The API's objects for validation and for the OpenAPI document; the types are control/model's, which the compiler compares with them. */
import { z } from '@hono/zod-openapi';
import {
  AGEING_SECONDS,
  FAULT_MICROS,
  FAULT_SEED,
  FDB_LIMIT,
  GROUP_FORWARD_MASK,
  MAC_LIMIT,
  MTU,
  RATE_BITS,
  RATE_BURST,
  SNAP_LENGTH,
  VLAN,
} from '../control/limits.js';
import * as model from '../control/model.js';
import { flagShape } from '../control/shapes.js';
import {
  BRIDGE_COUNTERS,
  DROP_REASONS,
  type DropReason,
  GATEWAY_COUNTERS,
  INTERFACE_DROP_REASONS,
  type InterfaceDrop,
  PORT_COUNTERS,
} from '../core/counters.js';
import { numberAbove, numberWithin, wholeNumber } from './problem.js';
import { container, counters, name, network, text } from './schema-parts.js';
import { egressAddress, mssClamp, Rule, Rules, uplink } from './schemas-gateway.js';

const INTERFACE_DROPS = Object.keys(INTERFACE_DROP_REASONS) as InterfaceDrop[];

const fraction = numberWithin({ min: 0, max: 1 });
const micros = wholeNumber(FAULT_MICROS);
const faultShape = {
  seed: wholeNumber(FAULT_SEED),
  loss: fraction,
  duplicate: fraction,
  reorder: fraction,
  corrupt: fraction,
  delayMicros: micros,
  jitterMicros: micros,
};
const faults = z.strictObject(faultShape);
const mac = text('02:00:00:00:00:01');
const macLimit = wholeNumber(MAC_LIMIT);

export const ErrorBody = z
  .strictObject({
    error: z.strictObject({
      code: z.enum(['invalid', 'not-found', 'conflict', 'forbidden', 'failed']),
      message: z.string(),
      hint: z.string().optional(),
    }),
  })
  .openapi('Error');

const rate = z.strictObject({ bitsPerSecond: wholeNumber(RATE_BITS), burstBytes: wholeNumber(RATE_BURST) }).nullable();
const rates = z.strictObject({ in: rate, out: rate });
const route = z.strictObject({ destination: text('10.9.0.0/16'), gateway: text('10.1.0.1').optional() });

export const BridgeInfo = z
  .strictObject({
    name: text('tb0'),
    mtu: z.number(),
    subnet: text('10.1.0.0/24').nullable(),
    gateway: text('10.1.0.1').nullable(),
    mac,
    ageingSeconds: z.number(),
    fdbLimit: z.number(),
    arpProxy: z.boolean(),
    groupForwardMask: z.number(),
    ports: z.number(),
    uplink,
    internal: z.boolean(),
    icc: z.boolean(),
    egressAddress,
    mssClamp,
    rules: z.array(Rule),
    network: network.nullable(),
  })
  .openapi('Bridge') satisfies z.ZodType<model.BridgeInfo>;

const bridgeSettings = {
  mtu: wholeNumber(MTU).optional(),
  ageingSeconds: wholeNumber(AGEING_SECONDS).optional(),
  fdbLimit: wholeNumber(FDB_LIMIT).optional(),
  arpProxy: z.boolean().optional(),
  groupForwardMask: wholeNumber(GROUP_FORWARD_MASK).optional(),
  uplink: uplink.optional(),
  internal: z.boolean().optional(),
  icc: z.boolean().optional(),
  egressAddress: egressAddress.optional(),
  mssClamp: mssClamp.optional(),
  rules: Rules.optional(),
};
export const CreateBridge = z
  .strictObject({
    name: text('tb0'),
    subnet: text('10.1.0.0/24').optional(),
    gateway: text('10.1.0.1').optional(),
    network: network.nullable().optional(),
    ...bridgeSettings,
  })
  .openapi('CreateBridge') satisfies z.ZodType<model.CreateBridge>;
export const ChangeBridge = z.strictObject(bridgeSettings).openapi('ChangeBridge') satisfies z.ZodType<model.ChangeBridge>;

export const PortInfo = z
  .strictObject({
    name: text('web'),
    bridge: text('tb0'),
    kind: z.enum(['tap', 'host', 'packet', 'capture', 'replay']),
    state: z.enum(['up', 'down', 'ended']),
    interface: text('eth0').nullable(),
    netns: z.string().nullable(),
    pid: z.number().nullable(),
    container: container.nullable(),
    file: z.string().nullable(),
    mac: mac.nullable(),
    ip: text('10.1.0.2/24').nullable(),
    mtu: z.number(),
    flags: z.strictObject(flagShape),
    macLimit: z.number(),
    offloads: z.boolean(),
    faults: faults.nullable(),
    rates,
    egressAddress,
    rxFrames: z.number(),
    rxBytes: z.number(),
    txFrames: z.number(),
    txBytes: z.number(),
    drops: z.number(),
  })
  .openapi('Port') satisfies z.ZodType<model.PortInfo>;

const partialFlags = z.strictObject(flagShape).partial();
export const AttachPort = z
  .strictObject({
    port: text('web'),
    netns: text('web').optional(),
    pid: wholeNumber({ min: 1 }).optional(),
    iface: text('veth0').optional(),
    capture: z.strictObject({ path: text('/tmp/out.pcapng'), format: z.enum(['pcap', 'pcapng']) }).optional(),
    replay: z
      .strictObject({ path: text('/tmp/in.pcap'), speed: numberWithin({ min: 0, max: 1_000_000 }), loop: z.boolean() })
      .optional(),
    ifname: text('eth0').optional(),
    ip: text('auto').optional(),
    addresses: z.array(text('2001:db8::2/64')).max(64).optional(),
    routes: z.array(route).max(256).optional(),
    container: container.nullable().optional(),
    mac: mac.optional(),
    mtu: wholeNumber(MTU).optional(),
    flags: partialFlags.optional(),
    macLimit: macLimit.optional(),
    faults: faults.optional(),
    rates: rates.partial().optional(),
    egressAddress: egressAddress.optional(),
  })
  .openapi('AttachPort') satisfies z.ZodType<model.AttachPort>;
export const ChangePort = z
  .strictObject({
    flags: partialFlags.optional(),
    mtu: wholeNumber(MTU).optional(),
    macLimit: macLimit.optional(),
    faults: faults.partial().nullable().optional(),
    rates: rates.partial().optional(),
    egressAddress: egressAddress.optional(),
  })
  .openapi('ChangePort') satisfies z.ZodType<model.ChangePort>;

export const FdbInfo = z
  .strictObject({ mac, port: text('web'), vlan: z.number(), kind: z.enum(['learned', 'static', 'local']), age: z.number() })
  .openapi('FdbEntry') satisfies z.ZodType<model.FdbInfo>;
export const AddFdb = z
  .strictObject({ mac, port: text('web'), vlan: wholeNumber(VLAN).optional() })
  .openapi('AddFdbEntry') satisfies z.ZodType<model.AddFdb>;
export const NeighborInfo = z
  .strictObject({
    ip: text('10.1.0.2'),
    mac,
    port: z.string().nullable(),
    kind: z.enum(['learned', 'static']),
    age: z.number(),
  })
  .openapi('Neighbor') satisfies z.ZodType<model.NeighborInfo>;
export const AddNeighbor = z
  .strictObject({ ip: text('10.1.0.9'), mac })
  .openapi('AddNeighbor') satisfies z.ZodType<model.AddNeighbor>;

export const CountersInfo = z
  .strictObject({
    bridge: counters(BRIDGE_COUNTERS),
    ports: z.array(
      z.strictObject({ port: text('web'), drops: z.number(), counters: counters([...PORT_COUNTERS, ...INTERFACE_DROPS]) }),
    ),
    gateway: counters(GATEWAY_COUNTERS),
    drops: counters([...(Object.keys(DROP_REASONS) as DropReason[]), ...INTERFACE_DROPS]),
  })
  .openapi('Counters') satisfies z.ZodType<model.CountersInfo>;

export const CaptureQuery = z.strictObject({
  port: text('web').optional(),
  snapLength: z.coerce.number().pipe(wholeNumber(SNAP_LENGTH)).optional(),
  count: z.coerce
    .number()
    .pipe(wholeNumber({ min: 1 }))
    .optional(),
  duration: z.coerce
    .number()
    .pipe(numberAbove({ min: 0, max: 86_400 }))
    .optional(),
});
export const VlanQuery = z.strictObject({ vlan: z.coerce.number().pipe(wholeNumber(VLAN)).optional() });
export const NoQuery = z.strictObject({});
export const Removed = z.strictObject({ removed: z.number() }).openapi('Removed');
const healthState = z.enum(model.HEALTH_STATES);
export const Health = z
  .strictObject({
    status: healthState,
    checks: z.array(z.strictObject({ name: text('engine'), status: healthState, message: text('it turns') })),
  })
  .openapi('Health') satisfies z.ZodType<model.HealthInfo>;
export const Version = z
  .strictObject({ version: z.string(), node: z.string(), kernel: z.string(), pid: z.number() })
  .openapi('Version') satisfies z.ZodType<model.VersionInfo>;

export const BridgePath = z.strictObject({ bridge: name('bridge') });
export const PortPath = z.strictObject({ bridge: name('bridge'), port: name('port') });
export const FdbPath = z.strictObject({ bridge: name('bridge'), mac: name('mac') });
export const NeighborPath = z.strictObject({ bridge: name('bridge'), ip: name('ip') });
export const CapturePath = z.strictObject({
  capture: z.coerce
    .number()
    .pipe(wholeNumber({ min: 0 }))
    .openapi({ param: { name: 'capture', in: 'path' }, type: 'integer' }),
});
