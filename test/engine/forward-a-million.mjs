/**
 * node --expose-gc --trace-gc forward-a-million.mjs [allocate|shared]: runs the compiled engine without a kernel. A million frames of all kinds go through
 * classify and push in steady state, between the lines "begin" and "end" on standard output; "end" tells by how many bytes the heap grew.
 * With `allocate` an object is made for each frame, which whoever watches must notice. With `shared` the tables are those of several threads.
 */
import { writeSync } from 'node:fs';
import { EntryKind } from '../../dist/bridge/fdb.js';
import { allocateBridge } from '../../dist/bridge/sharing.js';
import { ManualClock } from '../../dist/core/clock.js';
import { flagBits } from '../../dist/engine/commands.js';
import { burstIoOptions, Engine } from '../../dist/engine/engine.js';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_PORT_FLAGS } from '../../dist/engine/protocol.js';
import { SimulatedIo } from '../../dist/engine/simulated-io.js';
import * as vnet from '../../dist/wire/vnet-header.js';

const allocate = process.argv[2] === 'allocate';
const shared = process.argv[2] === 'shared';
const PORTS = 6;
const FRAMES = 1_000_000;
const WARM_UP = 600_000;

/** Ethernet, IPv4, UDP or TCP, `payload` bytes; partial checksum. */
function packet({ to, from, protocol = 17, payload = 18, gsoSize = 0, id = 1, tag = 0 }) {
  const l3 = tag > 0 ? 18 : 14;
  const header = protocol === 17 ? 8 : 20;
  const bytes = new Uint8Array(l3 + 20 + header + payload);
  bytes.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from], 0);
  if (tag > 0) {
    bytes.set([0x81, 0, 0, tag], 12);
  }
  bytes.set([8, 0, 0x45, 0, (bytes.length - l3) >> 8, (bytes.length - l3) & 0xff, 0, id, 0x40, 0, 64, protocol], l3 - 2);
  bytes.set([10, 0, 0, from, 10, 0, 0, to], l3 + 12);
  let sum = 0;
  for (let at = l3; at < l3 + 20; at += 2) {
    sum += (bytes[at] << 8) | bytes[at + 1];
  }
  sum = (sum & 0xffff) + (sum >>> 16);
  bytes[l3 + 10] = ~sum >>> 8;
  bytes[l3 + 11] = ~sum;
  const l4 = l3 + 20;
  bytes.set([0x9c, 0x40, 0x23, 0x28], l4);
  if (protocol === 17) {
    bytes[l4 + 4] = (8 + payload) >> 8;
    bytes[l4 + 5] = 8 + payload;
  } else {
    bytes[l4 + 12] = 0x50;
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

const kept = new Array(16).fill(null);

class Source {
  kind = 'memory';
  descriptor = -1;
  descriptorKind = 0;
  next = 0;
  sent = 0;

  constructor(n, headerBytes, udpSegmentation) {
    this.frames = kinds(n);
    this.headerBytes = headerBytes;
    this.udpSegmentation = udpSegmentation;
  }

  pull(batch, port, burst) {
    for (let turn = 0; turn < burst; turn++) {
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
const place = { index: 0, count: shared ? 2 : 1 };
const engine = new Engine({ io: new SimulatedIo(ioOptions, clock), ioOptions, place });
engine.addBridge(
  0,
  DEFAULT_BRIDGE_SETTINGS,
  shared ? allocateBridge(DEFAULT_BRIDGE_SETTINGS.fdbLimit, ioOptions.maxPorts) : undefined,
);
const sources = Array.from({ length: PORTS }, (_, index) => new Source(index + 1, index === 2 ? 0 : 12, index !== 4));
for (const [number, source] of sources.entries()) {
  engine.addPort(number, source, { bridge: 0, flags: flagBits(DEFAULT_PORT_FLAGS, number === 5), mtu: 1500, macLimit: 0 });
}
engine.pin(0, 0, 0x0200, 6, 5, EntryKind.local);

function forward(frames) {
  let done = 0;
  while (done < frames) {
    clock.now += 300;
    done += engine.step(0);
  }
  return done;
}

forward(WARM_UP);
globalThis.gc();
const usage = process.memoryUsage;
usage().heapUsed;
writeSync(1, 'begin\n');
const before = usage().heapUsed;
const frames = forward(FRAMES);
const growth = usage().heapUsed - before;
writeSync(1, `end ${JSON.stringify({ frames, growth, sent: sources.map((source) => source.sent) })}\n`);
