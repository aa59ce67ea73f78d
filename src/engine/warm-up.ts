/**
 * Warm-up: the engine's code, run over frames of its own while no real one waits.
 *
 * V8 interprets a function until it has been called some thousand times. A bridge with little traffic would stay there for a while: an echo
 * every few milliseconds takes 0.72 of the time with the rehearsal (docs/performance.md, "What paid"). So every
 * thread handles the frames its users will most likely send first (rehearsal.ts), bridged, and where it is the one that routes, through the gateway.
 * It is another engine with other tables; only the compiled code stays.
 */
import { EntryKind } from '../bridge/fdb.js';
import { Flag, UPLINK as UPLINK_BRIDGE } from '../bridge/port-table.js';
import { allocateBridge } from '../bridge/sharing.js';
import { DROP_REASONS, type DropReason, GATEWAY, GATEWAY_DROPS, type GatewayDrop, PORT } from '../core/counters.js';
import { RouteKind } from '../gateway/route-table.js';
import { FIRST_UPLINK, ZoneFlag } from '../gateway/zones.js';
import { GUARD_BYTES, GuardBitmap } from '../nat/port-guard.js';
import type { BurstIoOptions } from '../native/binding.js';
import { DescriptorPort } from '../port/descriptor-port.js';
import { parseIpv4 } from '../wire/ipv4-address.js';
import { parseMac } from '../wire/mac-address.js';
import { Awake } from './awake.js';
import { burstIoOptions } from './burst-io-options.js';
import { flagBits } from './commands.js';
import { Engine } from './engine.js';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_PORT_FLAGS } from './protocol.js';
import { CONTAINERS, HOST, OUTER_PORTS, Port, Rehearsal, ROUTER, type Station, UPLINK } from './rehearsal.js';

const PORTS = Object.keys(Port).length;
/** Of the first rehearsal, which goes through the gateway, too, and of each other one: so many that nearly all is compiled at the end. */
const FIRST_PASSES = 4000;
const PASSES = 800;
/** More than the four kinds of object that a call site remembers: what has met so many takes the addon's, too. */
const REHEARSALS = 6;
/** The tables and the arena of a rehearsal need not be as large as real ones. */
const FDB_LIMIT = 1024;
const FLOW_LIMIT = 1024;
const ARENA_BYTES = 1 << 19;
const MTU = 1500;

const DROPS = (Object.keys(DROP_REASONS) as DropReason[]).map((name) => PORT[name]);
const GATEWAY_LOSSES = (Object.keys(GATEWAY_DROPS) as GatewayDrop[]).map((name) => GATEWAY[name]);

const OPTIONS: BurstIoOptions = {
  ...burstIoOptions(PORTS),
  arenaBytes: ARENA_BYTES,
  receiveBytes: ARENA_BYTES / 2,
  batchFrames: 256,
  transmitWords: 1 << 12,
};

/** Frames received, sent, and lost for whatever reason: a rehearsal that loses frames rehearses the wrong thing. */
export interface Rehearsed {
  received: number;
  sent: number;
  lost: number;
}

/**
 * A pass at a time, 0.1 to 0.2 s in all, once a thread: whoever asks for the next pass does it when there is nothing else to do. So a real frame waits for
 * one pass at most (or for one engine to be built), and so does a daemon that restores ports after a crash.
 * @param shared over tables as several threads share them: each kind of table has code of its own, and what is rehearsed with one is undone by
 * the first frame with the other
 * @param routes through the gateway, too
 */
export function* warmUp(shared: boolean, routes: boolean): Generator<void, Rehearsed> {
  const total: Rehearsed = { received: 0, sent: 0, lost: 0 };
  const guard = routes ? new GuardBitmap(new ArrayBuffer(GUARD_BYTES)) : null;
  // Several times over, because what the code has met only once it takes for what will always be: the arena, the class of the burst I/O. The first
  // real frame would undo what was compiled for that.
  // One with a gateway is enough, since it does not care for that: and the first, because what is compiled later then knows that there may be one.
  for (let times = 0; times < REHEARSALS; times++) {
    const Io = times % 2 === 0 ? oneKind() : anotherKind();
    const isFirst = times === 0;
    const passes = isFirst ? FIRST_PASSES : PASSES;
    const { portCounters, gatewayCounters } = yield* rehearse(new Io(OPTIONS), shared, isFirst ? guard : null, passes);
    for (let port = 0; port < PORTS; port++) {
      total.received += portCounters.get(port, PORT.rx_frames);
      total.sent += portCounters.get(port, PORT.tx_frames);
      for (const drop of DROPS) total.lost += portCounters.get(port, drop);
    }
    for (const zone of [0, FIRST_UPLINK]) {
      for (const loss of GATEWAY_LOSSES) total.lost += gatewayCounters.get(zone, loss);
    }
  }
  return total;
}

/** The same without a pause between the passes. */
export function warmUpAtOnce(shared: boolean, routes: boolean): Rehearsed {
  const rehearsal = warmUp(shared, routes);
  for (;;) {
    const { done, value } = rehearsal.next();
    if (done === true) return value;
  }
}

/** A class of its own each time. */
function oneKind(): typeof Rehearsal {
  return class extends Rehearsal {
    override receive = () => this.rehearse();
    override send = () => 0;
  };
}

/** The same again: a call site remembers the one function it has called by its place in the source, and would not take the addon's. */
function anotherKind(): typeof Rehearsal {
  return class extends Rehearsal {
    override receive = () => this.rehearse();
    override send = () => 0;
  };
}

function* rehearse(io: Rehearsal, shared: boolean, guard: GuardBitmap | null, passes: number): Generator<void, Engine> {
  const engine = new Engine({ io, ioOptions: OPTIONS, awake: new Awake({ keepAwake() {}, close() {} }) });
  const settings = { ...DEFAULT_BRIDGE_SETTINGS, fdbLimit: FDB_LIMIT };
  engine.addBridge(0, settings, shared ? allocateBridge(FDB_LIMIT, PORTS) : undefined);
  for (const station of [...CONTAINERS, HOST]) {
    const { high, low } = parseMac(station.mac);
    const flags = flagBits(DEFAULT_PORT_FLAGS, station === HOST);
    engine.addPort(station.port, tap(station), { bridge: 0, flags, mtu: MTU, macLimit: 0 });
    engine.pin(0, 0, high, low, station.port, station === HOST ? EntryKind.local : EntryKind.static);
    engine.bridges[0]?.neighbors.pin(parseIpv4(station.ip), low, high);
    if (station !== HOST) engine.table.address[station.port] = parseIpv4(station.ip);
  }
  io.prepareBridge();
  if (guard !== null) {
    openGateway(engine, guard);
    io.prepareGateway();
  }
  yield;
  for (let pass = 0; pass < passes; pass++) {
    engine.step(0);
    yield;
  }
  engine.close();
  return engine;
}

function tap({ port }: Station): DescriptorPort {
  return new DescriptorPort({ kind: 'tap', descriptor: port, vnetHeader: true, udpSegmentation: true });
}

function openGateway(engine: Engine, guard: GuardBitmap): void {
  const ranges = [OUTER_PORTS];
  const { settings, routes, locals } = engine.openGateway({
    conntrack: { limit: FLOW_LIMIT, ownerLimit: FLOW_LIMIT },
    guard,
    ranges: { tcp: ranges, udp: ranges, icmp: ranges },
    mappingLimit: FLOW_LIMIT,
    random: Math.random,
  });
  const uplink = new DescriptorPort({ kind: 'packet', descriptor: Port.uplink, vnetHeader: true, udpSegmentation: true });
  engine.addPort(Port.uplink, uplink, { bridge: UPLINK_BRIDGE, flags: Flag.up, mtu: MTU, macLimit: 0 });
  const [hostMac, uplinkMac] = [parseMac(HOST.mac), parseMac(UPLINK.mac)];
  const address = parseIpv4(UPLINK.ip);
  const { port } = UPLINK;
  const own = { port, macHigh: uplinkMac.high, macLow: uplinkMac.low, mtu: MTU, address, addresses: [address], up: true };
  settings.setUplink(0, own, engine.seconds);
  const nextHop = parseIpv4(ROUTER.ip);
  routes.set([{ network: 0, prefix: 0, nextHop, metric: 0, mtu: 0, kind: RouteKind.unicast, zone: FIRST_UPLINK }]);
  locals.set(Int32Array.of(address, parseIpv4(HOST.ip)));
  settings.setBridge(
    0,
    {
      macHigh: hostMac.high,
      macLow: hostMac.low,
      address: parseIpv4(HOST.ip),
      prefix: 24,
      port: HOST.port,
      mtu: MTU,
      flags: ZoneFlag.up,
      uplink: -1,
      egressAddress: 0,
      mssClamp: 'auto',
      rules: [],
    },
    engine.seconds,
  );
}
