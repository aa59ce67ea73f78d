/**
 * node --expose-gc --trace-gc forward-a-million.mjs [allocate|shared|gateway|gateway allocate|gateway handover]: runs the compiled engine without a kernel. A million frames of all kinds go through
 * classify and push in steady state, between the lines "begin" and "end" on standard output; "end" tells by how many bytes the heap grew.
 * With `allocate` an object is made for each frame, which whoever watches must notice. With `shared` the tables are those of several threads.
 * With `gateway` the frames are those of known flows between containers and the outside; with `handover` another engine receives what the containers send.
 */
import { writeSync } from 'node:fs';
import { EntryKind } from '../../dist/bridge/fdb.js';
import { UPLINK } from '../../dist/bridge/port-table.js';
import { allocateBridge } from '../../dist/bridge/sharing.js';
import { TIMEOUTS_RFC } from '../../dist/conntrack/timeouts.js';
import { ManualClock } from '../../dist/core/clock.js';
import { GATEWAY, GATEWAY_DROPS } from '../../dist/core/counters.js';
import { HandoverRing } from '../../dist/core/handover-ring.js';
import { burstIoOptions } from '../../dist/engine/burst-io-options.js';
import { execute, flagBits } from '../../dist/engine/commands.js';
import { Engine } from '../../dist/engine/engine.js';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_PORT_FLAGS } from '../../dist/engine/protocol.js';
import { SimulatedIo } from '../../dist/engine/simulated-io.js';
import { FIRST_UPLINK } from '../../dist/gateway/zones.js';
import * as vnet from '../../dist/wire/vnet-header.js';

const allocate = process.argv.includes('allocate');
const gateway = process.argv.includes('gateway');
const handover = process.argv.includes('handover');
const shared = process.argv.includes('shared') || handover;
const PORTS = 6;
const FRAMES = 1_000_000;
const WARM_UP = 600_000;

/** Ethernet, IPv4, UDP or TCP, `payload` bytes; partial checksum. */
function packet({
  to,
  from,
  protocol = 17,
  payload = 18,
  gsoSize = 0,
  id = 1,
  tag = 0,
  source = [10, 0, 0, from],
  destination = [10, 0, 0, to],
  ports = [0x9c40, 0x2328],
}) {
  const l3 = tag > 0 ? 18 : 14;
  const header = protocol === 17 ? 8 : 20;
  const bytes = new Uint8Array(l3 + 20 + header + payload);
  bytes.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from], 0);
  if (tag > 0) {
    bytes.set([0x81, 0, 0, tag], 12);
  }
  bytes.set([8, 0, 0x45, 0, (bytes.length - l3) >> 8, (bytes.length - l3) & 0xff, 0, id, 0x40, 0, 64, protocol], l3 - 2);
  bytes.set([...source, ...destination], l3 + 12);
  let sum = 0;
  for (let at = l3; at < l3 + 20; at += 2) {
    sum += (bytes[at] << 8) | bytes[at + 1];
  }
  sum = (sum & 0xffff) + (sum >>> 16);
  bytes[l3 + 10] = ~sum >>> 8;
  bytes[l3 + 11] = ~sum;
  const l4 = l3 + 20;
  bytes.set([ports[0] >> 8, ports[0], ports[1] >> 8, ports[1]], l4);
  if (protocol === 17) {
    bytes[l4 + 4] = (8 + payload) >> 8;
    bytes[l4 + 5] = 8 + payload;
  } else {
    // Sequence and acknowledgement 1000, ACK, window 65,535.
    bytes.set([0, 0, 3, 232, 0, 0, 3, 232, 0x50, 0x10, 0xff, 0xff], l4 + 4);
  }
  const head = new Uint8Array(12);
  const type = gsoSize === 0 ? 0 : protocol === 17 ? 5 : 1;
  vnet.write(head, 0, 1, type, l4 + header, gsoSize, l4, protocol === 17 ? 6 : 16);
  return { head, bytes };
}

function plain(bytes) {
  return { head: new Uint8Array(12), bytes: Uint8Array.from([...bytes, ...new Array(60).fill(0)].slice(0, 60)) };
}

function arp(from, senderIp, targetIp) {
  const mac = [2, 0, 0, 0, 0, from];
  return plain([
    ...new Array(6).fill(255),
    ...mac,
    8,
    6,
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    1,
    ...mac,
    ...senderIp,
    0,
    0,
    0,
    0,
    0,
    0,
    ...targetIp,
  ]);
}

/** What host n sends: every way a frame can take. */
function kinds(n) {
  const other = (n % PORTS) + 1;
  const host = { to: other, from: n };
  return [
    ...Array.from({ length: 12 }, (_, id) => packet({ ...host, id })),
    ...Array.from({ length: 6 }, (_, id) => packet({ to: ((n + 2) % PORTS) + 1, from: n, id, payload: 300 })),
    packet({ ...host, protocol: 6, payload: 3000, gsoSize: 1000 }),
    packet({ ...host, protocol: 17, payload: 2000, gsoSize: 500 }),
    packet({ ...host, tag: 7 }),
    packet({ ...host, payload: 1600 }),
    plain([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, n, 8, 0]),
    plain([1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, n, 8, 0]),
    plain([2, 9, 9, 9, 9, 9, 2, 0, 0, 0, 0, n, 8, 0]),
    plain([2, 0, 0, 0, 0, n, 2, 0, 0, 0, 0, n, 8, 0]),
    plain([1, 0x80, 0xc2, 0, 0, 2, 2, 0, 0, 0, 0, n, 8, 0]),
    plain([2, 0, 0, 0, 0, other, 3, 0, 0, 0, 0, n, 8, 0]),
    plain([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 1, 1, 8, 0]),
    arp(n, [10, 0, 0, n], [10, 0, 0, other]),
    arp(n, [10, 0, 0, n], [10, 0, 0, 99]),
    arp(n, [0, 0, 0, 0], [10, 0, 0, other]),
  ];
}

const UPLINK_MAC = 0xb1;
const ROUTER_MAC = 0xb2;
const GATEWAY_MAC = 6;
const OUTER = [192, 0, 2, 1];
const ROUTER = [192, 0, 2, 254];
const FAR = [198, 51, 100, 7];

/** Known flows of 64 ports each of container n, to the outside, or as they come back: datagrams and super-frames. */
function routed(n, back) {
  const frames = [];
  for (let flow = 0; flow < 64; flow++) {
    const inner = 20_000 + n * 100 + flow;
    const ends = back
      ? { to: UPLINK_MAC, from: ROUTER_MAC, source: FAR, destination: OUTER, ports: [53, inner] }
      : { to: GATEWAY_MAC, from: n, destination: FAR, ports: [inner, 53] };
    frames.push(packet({ ...ends, id: flow }), packet({ ...ends, id: flow, payload: 200 }));
    frames.push(packet({ ...ends, protocol: 6, payload: 3000, gsoSize: 1000 }), packet({ ...ends, protocol: 6, payload: 0 }));
    frames.push(packet({ ...ends, protocol: 17, payload: 2000, gsoSize: 500 }));
  }
  // Long frames are copied between threads by short-lived views (core/copy-bytes.ts).
  return handover ? frames.filter(({ bytes }) => bytes.length < 200) : frames;
}

const kept = new Array(16).fill(null);

class Source {
  kind = 'memory';
  descriptor = -1;
  descriptorKind = 0;
  next = 0;
  sent = 0;

  constructor(frames, headerBytes, udpSegmentation) {
    this.frames = frames;
    this.headerBytes = headerBytes;
    this.udpSegmentation = udpSegmentation;
  }

  pull(batch, port, burst) {
    for (let turn = 0; turn < burst && this.frames.length > 0; turn++) {
      const { head, bytes } = this.frames[this.next];
      const frame = batch.append(port, bytes.length);
      if (frame < 0) {
        return;
      }
      const at = batch.at[frame];
      batch.bytes.set(head, at - 12);
      batch.bytes.set(bytes, at);
      this.next = this.next + 1 === this.frames.length ? 0 : this.next + 1;
      if (allocate) {
        kept[turn & 15] = { at, length: bytes.length };
      }
    }
  }

  deliver(ring, from, to) {
    for (let word = from; word < to; word += 2 + ring.words[word + 1] * 2) {
      this.sent += ring.framesAt[word];
    }
    return 0;
  }

  nextDue() {
    return Number.POSITIVE_INFINITY;
  }

  close() {}
}

const clock = new ManualClock();
clock.advanceSeconds(100);
const ioOptions = burstIoOptions(16);
const rings = [HandoverRing.allocate()];
const memory = shared ? allocateBridge(DEFAULT_BRIDGE_SETTINGS.fdbLimit, ioOptions.maxPorts) : undefined;
const engines = Array.from({ length: handover ? 2 : 1 }, (_, index) => {
  const place = { index, count: shared ? 2 : 1, ...(handover && { handover: rings }) };
  const made = new Engine({ io: new SimulatedIo(ioOptions, clock), ioOptions, place });
  made.addBridge(0, DEFAULT_BRIDGE_SETTINGS, memory);
  return made;
});
const [engine] = engines;
const receiver = engines.at(-1);
const sources = Array.from(
  { length: PORTS },
  (_, index) => new Source(gateway ? routed(index + 1, false) : kinds(index + 1), index === 2 ? 0 : 12, index !== 4),
);
/** The host sends nothing where the containers talk to the outside. */
const silent = { pull() {} };
for (const [number, source] of sources.entries()) {
  const flags = flagBits(DEFAULT_PORT_FLAGS, number === 5);
  for (const each of engines) {
    const receives = each === receiver && !(gateway && number === 5);
    const port = receives
      ? source
      : Object.assign(Object.create(source), silent, { deliver: (...sent) => source.deliver(...sent) });
    each.addPort(number, port, { bridge: 0, flags, mtu: 1500, macLimit: 0 });
  }
}
engine.pin(0, 0, 0x0200, 6, 5, EntryKind.local);
if (gateway) openGateway();

/** Bridge 0 has a way out by port 6, whose router is known and sends what comes back. */
function openGateway() {
  const address = (bytes) => new DataView(Uint8Array.from(bytes).buffer).getInt32(0);
  const settings = { filter: 'apdf', ranges: [[20_000, 29_999]], timeouts: TIMEOUTS_RFC, loose: true, liberal: false };
  execute(engine, 'open-gateway', { flowLimit: 4096, flowShare: 4096, guard: -1, settings });
  const back = sources.slice(0, 5).flatMap((_, index) => routed(index + 1, true));
  const uplink = new Source([], 12, true);
  sources.push(uplink);
  engine.addPort(6, uplink, { bridge: UPLINK, flags: 1, mtu: 1500, macLimit: 0 });
  const own = address(OUTER);
  engine.gateway.settings.setUplink(
    0,
    { port: 6, macHigh: 0x0200, macLow: UPLINK_MAC, mtu: 1500, address: own, addresses: [own], up: true },
    engine.seconds,
  );
  const routes = [{ network: 0, prefix: 0, gateway: address(ROUTER), metric: 0, type: 'unicast', uplink: 0, mtu: 0 }];
  const locals = Int32Array.of(own, address([10, 0, 0, 254]));
  execute(engine, 'set-routes', { routes, locals, broadcasts: new Int32Array(0) });
  const network = { address: address([10, 0, 0, 254]), network: address([10, 0, 0, 0]), prefix: 24 };
  const nat = { uplink: -1, internal: false, egressAddress: 0, mssClamp: 'off', rules: [] };
  for (const each of engines) {
    const zone = { ...network, hostPort: 5, mac: { high: 0x0200, low: GATEWAY_MAC }, mtu: 1500 };
    execute(each, 'set-gateway', { bridge: 0, settings: { ...zone, ...nat } });
  }
  for (let n = 1; n <= 5; n++) {
    engine.pin(0, 0, 0x0200, n, n - 1);
    engine.bridges[0].neighbors.pin(address([10, 0, 0, n]), n, 0x0200);
  }
  // The first frame asks for the router, which answers; then all flows begin inside.
  clock.now += 300;
  for (const each of engines.toReversed()) each.step(0);
  const reply = [0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, ROUTER_MAC, ...ROUTER, 2, 0, 0, 0, 0, UPLINK_MAC, ...OUTER];
  uplink.frames = [plain([2, 0, 0, 0, 0, UPLINK_MAC, 2, 0, 0, 0, 0, ROUTER_MAC, 8, 6, ...reply])];
  clock.now += 300;
  engine.step(0);
  for (let pass = 0; pass < 100; pass++) {
    clock.now += 300;
    for (const each of engines.toReversed()) each.step(0);
  }
  uplink.next = 0;
  uplink.frames = back;
}

function forward(frames) {
  let done = 0;
  while (done < frames) {
    clock.now += 300;
    if (handover) receiver.step(0);
    done += engine.step(0);
  }
  return done;
}

forward(WARM_UP);
globalThis.gc();
const usage = process.memoryUsage;
usage().heapUsed;
const drops = () =>
  Object.keys(GATEWAY_DROPS).reduce(
    (sum, name) => sum + [0, FIRST_UPLINK].reduce((both, zone) => both + engine.gatewayCounters.get(zone, GATEWAY[name]), 0),
    0,
  );
const droppedBefore = drops();
const passed = () => [0, FIRST_UPLINK].map((zone) => engine.gatewayCounters.get(zone, GATEWAY.routed));
const passedBefore = passed();
writeSync(1, 'begin\n');
const before = usage().heapUsed;
const frames = forward(FRAMES);
const growth = usage().heapUsed - before;
const sent = sources.map((source) => source.sent);
const through = passed().map((count, zone) => count - passedBefore[zone]);
writeSync(1, `end ${JSON.stringify({ frames, growth, sent, through, dropped: drops() - droppedBefore })}\n`);
