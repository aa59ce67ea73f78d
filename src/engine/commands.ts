/** Carries out what the main thread asks of an engine; the other half of protocol.ts. Runs between two passes, never within one. */
import { EntryKind, fdbKey } from '../bridge/fdb.js';
import { Flag } from '../bridge/port-table.js';
import { CapturePort } from '../port/capture-port.js';
import { DescriptorPort } from '../port/descriptor-port.js';
import { Fault } from '../port/fault.js';
import type { Port } from '../port/port.js';
import { ReplayPort } from '../port/replay-port.js';
import type { Engine } from './engine.js';
import { GATEWAY_HANDLERS } from './gateway-commands.js';
import type { CommandAnswer, CommandArguments, CommandName, FaultSettings, PortFlags, PortSpec } from './protocol.js';

type Handlers = { [Name in CommandName]: (engine: Engine, args: CommandArguments<Name>) => CommandAnswer<Name> };

const FLAG_OF_NAME = {
  up: Flag.up,
  learning: Flag.learning,
  floodUnicast: Flag.floodUnicast,
  floodMulticast: Flag.floodMulticast,
  floodBroadcast: Flag.floodBroadcast,
  hairpin: Flag.hairpin,
  isolated: Flag.isolated,
  locked: Flag.locked,
  sourceGuard: Flag.sourceGuard,
} as const satisfies Record<keyof PortFlags, number>;

/** Bits of port flags for the forwarding decision. */
export function flagBits(flags: PortFlags, local: boolean): number {
  let bits: number = local ? Flag.local : 0;
  for (const [name, bit] of Object.entries(FLAG_OF_NAME) as [keyof PortFlags, number][]) {
    bits |= flags[name] ? bit : 0;
  }
  return bits;
}

const KIND_NAME = { [EntryKind.learned]: 'learned', [EntryKind.static]: 'static', [EntryKind.local]: 'local' } as const;

function bridgeOf(engine: Engine, index: number) {
  const bridge = engine.bridges[index];
  if (bridge === null || bridge === undefined) {
    throw new RangeError(`engine: there is no bridge ${index}`);
  }
  return bridge;
}

function makePort(engine: Engine, spec: PortSpec): Port {
  switch (spec.kind) {
    case 'capture':
      return new CapturePort(spec.ring, { micros: () => engine.batch.now }, spec.snapLength);
    case 'replay':
      // The frames come from one thread; the others only send there.
      return new ReplayPort(engine.isKeeper ? spec.frames : { ...spec.frames, count: 0 }, spec);
    default:
      return new DescriptorPort(spec);
  }
}

/** Each thread has a cable of its own, with chances of its own. */
function faultOf(engine: Engine, faults: FaultSettings | null): Fault | null {
  return faults === null ? null : new Fault({ ...faults, seed: faults.seed + engine.place.index });
}

/** Seconds since then; another thread's clock may be a moment ahead. */
function ageOf(engine: Engine, seconds: number): number {
  return Math.max(0, engine.seconds - seconds);
}

const HANDLERS: Handlers = {
  ...GATEWAY_HANDLERS,
  'add-bridge': (engine, { bridge, settings, memory }) => {
    engine.addBridge(bridge, settings, memory);
    return null;
  },
  'set-bridge': (engine, { bridge, settings, memory }) => {
    bridgeOf(engine, bridge).configure(settings, memory);
    return null;
  },
  'remove-bridge': (engine, { bridge }) => {
    bridgeOf(engine, bridge);
    engine.removeBridge(bridge);
    return null;
  },
  hold: (engine) => {
    engine.hold();
    return null;
  },
  release: (engine) => ({ failed: engine.release() }),
  'add-port': (engine, { port, settings, keepCounters = false }) => {
    const { bridge, flags, mtu, macLimit, address, local, faults, rates } = settings;
    const target = bridgeOf(engine, bridge);
    const fault = faultOf(engine, faults);
    const attachment = { bridge, flags: flagBits(flags, local), mtu, macLimit, keepCounters };
    engine.addPort(port, makePort(engine, settings.spec), attachment);
    engine.table.address[port] = local || address === null ? 0 : (address.ip ?? 0);
    engine.setFault(port, fault);
    if (rates !== undefined) engine.setRates(port, rates);
    if (address !== null && engine.isKeeper) {
      const { mac, ip } = address;
      const kind = local ? EntryKind.local : EntryKind.static;
      if (
        !engine.pin(bridge, 0, mac.high, mac.low, port, kind) ||
        (ip !== null && !target.neighbors.pin(ip, mac.low, mac.high))
      ) {
        engine.removePort(port);
        throw new RangeError(`engine: bridge ${bridge} has no room for another static address`);
      }
    }
    return null;
  },
  'set-port': (engine, { port, flags, mtu, macLimit, faults, rates }) => {
    const { table } = engine;
    const target = engine.bridges[table.bridge[port]];
    if (target === null || target === undefined) {
      throw new RangeError(`engine: there is no port ${port}`);
    }
    for (const [name, value] of Object.entries(flags ?? {}) as [keyof PortFlags, boolean][]) {
      table.flags[port] = value ? table.flags[port] | FLAG_OF_NAME[name] : table.flags[port] & ~FLAG_OF_NAME[name];
    }
    if (flags?.up === false) {
      // A port that goes down loses what it learned and keeps what was set (L17).
      target.forgetPort(port, false);
    }
    if (mtu !== undefined) {
      table.mtu[port] = mtu;
    }
    if (macLimit !== undefined) {
      table.macLimit[port] = macLimit;
    }
    if (faults !== undefined) {
      engine.setFault(port, faultOf(engine, faults));
    }
    if (rates !== undefined) {
      engine.setRates(port, rates);
    }
    return null;
  },
  'remove-port': (engine, { port }) => {
    engine.removePort(port);
    return null;
  },
  'list-fdb': (engine, { bridge }) =>
    Array.from(bridgeOf(engine, bridge).fdb.entries(engine.seconds), ({ macHigh, macLow, vlan, port, kind, seen }) => ({
      mac: { high: macHigh, low: macLow },
      vlan,
      port,
      kind: KIND_NAME[kind],
      age: kind === EntryKind.learned ? ageOf(engine, seen) : 0,
    })),
  'add-fdb': (engine, { bridge, vlan, mac, port }) => {
    if (!engine.pin(bridge, vlan, mac.high, mac.low, port)) {
      throw new RangeError(`engine: bridge ${bridge} has no room for another static address`);
    }
    return null;
  },
  'remove-fdb': (engine, { bridge, vlan, mac }) => bridgeOf(engine, bridge).fdb.remove(mac.low, fdbKey(vlan, mac.high)),
  'flush-fdb': (engine, { bridge }) => bridgeOf(engine, bridge).fdb.flush(),
  'list-neighbors': (engine, { bridge }) =>
    Array.from(bridgeOf(engine, bridge).neighbors.entries(engine.seconds), (entry) => ({
      ip: entry.ip,
      mac: { high: entry.macHigh, low: entry.macLow },
      kind: entry.static ? 'static' : 'learned',
      age: entry.static ? 0 : ageOf(engine, entry.confirmed),
    })),
  'table-use': (engine) =>
    engine.bridges.flatMap((bridge, number) =>
      bridge === null ? [] : [{ bridge: number, fdb: bridge.fdb.size, neighbors: bridge.neighbors.size }],
    ),
  'add-neighbor': (engine, { bridge, ip, mac }) => {
    if (!bridgeOf(engine, bridge).neighbors.pin(ip, mac.low, mac.high)) {
      throw new RangeError(`engine: bridge ${bridge} has no room for another neighbor`);
    }
    return null;
  },
  'remove-neighbor': (engine, { bridge, ip }) => bridgeOf(engine, bridge).neighbors.remove(ip),
  'start-capture': (engine, { capture, settings }) => {
    bridgeOf(engine, settings.bridge);
    engine.captures.start(capture, settings.bridge, settings.port, settings.snapLength, settings.ring);
    return null;
  },
  'stop-capture': (engine, { capture }) => ({ lost: Math.max(0, engine.captures.stop(capture)) }),
  stop: () => null,
};

export function execute<Name extends CommandName>(engine: Engine, name: Name, args: CommandArguments<Name>): CommandAnswer<Name> {
  return HANDLERS[name](engine, args);
}
