/**
 * The fast path is the slow path in fewer steps. Two gateways get the same frames at the same time; one of them has no fast path. What comes out, with
 * its vnet headers, what is counted and what is known of each flow must be the same.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Random } from '../../src/core/random.js';
import type { FastPath } from '../../src/gateway/fast-path.js';
import type { MemoryFrame } from '../../src/port/memory-port.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import * as tcp from '../../src/wire/tcp.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { makePacket, type PacketOptions, payload } from '../helpers/packet.js';
import { arpReply, GATEWAY_MAC, ipOf, macOf } from '../sim/frames.js';
import { GatewaySimulation, ROUTER_IP, ROUTER_MAC, UPLINK_IP, UPLINK_MAC } from '../sim/gateway-simulation.js';
import { complete, echo } from '../sim/packets.js';
import type { SimulatedPort } from '../sim/simulation.js';

const SEEDS = [1, 2, 3, 4];
const ROUNDS = 600;
const FAR = '198.51.100.7';
const IP = 14;
const L4 = IP + ipv4.HEADER_BYTES;
const WINDOW = 14;
/** Headers, as far as a mutation reaches: some of the payload, too. */
const HEADERS = 60;
const HOST_PORT = 8000;
const SERVER_PORT = 9000;

/** One direction of a connection, as its packets arrive at the gateway. */
interface Stream {
  protocol: 'tcp' | 'udp';
  /** Container that sends, 0: the router. */
  sender: number;
  from: readonly [string, number];
  to: readonly [string, number];
  sequence: number;
}

/** What leaves by a container's port, or (0) by the uplink. */
type Output = [number, MemoryFrame[]];

class Side {
  readonly gateway = new GatewaySimulation({ uplinkMtu: 1400, mssClamp: 'on' });
  /** Frames the fast path has handled. */
  taken = 0;
  private readonly containers: SimulatedPort[];

  constructor(hasFastPath: boolean) {
    const { gateway } = this;
    this.containers = [1, 2].map((n) => gateway.container(n));
    for (const protocol of ['tcp', 'udp'] as const) {
      const owner = this.containers[1].number;
      gateway.publish({ protocol, hostPort: HOST_PORT, port: SERVER_PORT, address: parseIpv4(ipOf(2)), owner });
    }
    const { fastPath } = gateway.gateway as unknown as { fastPath: FastPath };
    const take = fastPath.take.bind(fastPath);
    vi.spyOn(fastPath, 'take').mockImplementation((batch, frame, hint, egress) => {
      const taken = hasFastPath && take(batch, frame, hint, egress);
      this.taken += taken ? 1 : 0;
      return taken;
    });
  }

  /** Frames of all senders in one pass. */
  send(frames: readonly (MemoryFrame & { sender: number })[]): Output[] {
    const { uplink, simulation } = this.gateway;
    for (const { sender, frame, vnet: header } of frames) {
      if (sender === 0) expect(uplink.send(frame, header)).toBe(true);
      else this.containers[sender - 1].queue({ frame, vnet: header });
    }
    simulation.run();
    return this.take();
  }

  take(): Output[] {
    const { uplink, host } = this.gateway;
    const left: MemoryFrame[] = [];
    for (let next = uplink.receive(); next !== undefined; next = uplink.receive()) left.push(next);
    const local: MemoryFrame[] = [];
    for (let next = host.receive(); next !== undefined; next = host.receive()) local.push(next);
    return [[0, left], [-1, local], ...this.containers.map((port, n): Output => [n + 1, port.takeWhole()])];
  }

  resolveRouter(): void {
    const { uplink, simulation } = this.gateway;
    uplink.send(arpReply({ senderMac: ROUTER_MAC, senderIp: ROUTER_IP, targetMac: UPLINK_MAC, targetIp: UPLINK_IP }));
    simulation.run();
  }

  /** Everything that is counted or known. */
  state() {
    const { simulation, uplinkZone } = this.gateway;
    const { gatewayCounters } = simulation.engine;
    return {
      bridge: gatewayCounters.snapshot(0),
      uplink: gatewayCounters.snapshot(uplinkZone),
      ports: Array.from({ length: 64 }, (_, port) => simulation.portCounters.snapshot(port)),
      flows: simulation.execute('list-flows', { filter: {}, from: 0, limit: 1024 }).flows,
    };
  }
}

/** @param acknowledged what the other end has sent so far */
function packet(stream: Stream, acknowledged: number, options: PacketOptions): MemoryFrame & { sender: number } {
  const { protocol, sender, from, to, sequence } = stream;
  const fromRouter = sender === 0;
  const made = makePacket({
    protocol,
    source: fromRouter ? ROUTER_MAC : macOf(sender),
    destination: fromRouter ? UPLINK_MAC : GATEWAY_MAC,
    ipSource: from[0],
    sourcePort: from[1],
    ipDestination: to[0],
    destinationPort: to[1],
    sequence,
    ...options,
  });
  if (protocol === 'tcp') {
    tcp.setAcknowledgment(made.frame, L4, acknowledged);
    made.frame.fill(0xff, L4 + WINDOW, L4 + WINDOW + 2);
    if (made.vnet[0] === 0) complete(made.frame);
  }
  return { sender, ...made };
}

/** The streams of connections of all kinds; inner ports lie in the pool and stay as they are. */
function streams(): Stream[] {
  const published = [UPLINK_IP, HOST_PORT] as const;
  const server = [ipOf(2), SERVER_PORT] as const;
  const pair = (
    protocol: 'tcp' | 'udp',
    client: number,
    clientEnd: Stream['from'],
    asked: Stream['to'],
    outer: Stream['from'],
  ) => {
    const answering = asked === published ? 2 : 0;
    return [
      { protocol, sender: client, from: clientEnd, to: asked, sequence: 1000 },
      { protocol, sender: answering, from: asked === published ? server : asked, to: outer, sequence: 70 },
    ];
  };
  return (['tcp', 'udp'] as const).flatMap((protocol) => [
    ...pair(protocol, 1, [ipOf(1), 20_001], [FAR, 80], [UPLINK_IP, 20_001]),
    ...pair(protocol, 2, [ipOf(2), 20_002], [FAR, 80], [UPLINK_IP, 20_002]),
    ...pair(protocol, 0, [FAR, 5000], published, [FAR, 5000]),
    ...pair(protocol, 1, [ipOf(1), 20_003], published, [UPLINK_IP, 20_003]),
    ...pair(protocol, 2, [ipOf(2), 20_004], published, [UPLINK_IP, 20_004]),
  ]);
}

/** Frames the kernel might give us, and some it might not. */
function randomFrame(random: Random, known: readonly Stream[]): MemoryFrame & { sender: number } {
  const index = random.below(known.length);
  const stream = known[index];
  const shape = random.below(10);
  const gsoSize = shape < 3 ? [100, 1300, 1360, 1448][random.below(4)] : 0;
  const bytes =
    gsoSize > 0 ? gsoSize * (1 + random.below(4)) + random.below(gsoSize) : random.below(8) === 0 ? 1350 : random.below(120);
  const made = packet(stream, known[index ^ 1].sequence, {
    payload: payload(bytes, random.below(200)),
    partial: shape < 6,
    gsoSize,
    ttl: random.below(20) === 0 ? random.below(3) : 64,
    tos: random.below(256),
    dontFragment: random.below(10) > 0,
    identification: random.below(65_536),
    flags: tcp.Flag.ack | (random.below(2) === 0 ? tcp.Flag.psh : 0) | (random.below(300) === 0 ? tcp.Flag.fin : 0),
    tcpOptions: random.below(2) === 0 ? [] : [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
  });
  if (stream.protocol === 'tcp' && random.below(4) > 0) stream.sequence = (stream.sequence + bytes) | 0;
  if (shape >= 6 && shape < 9) made.vnet[0] = vnet.Flag.dataValid;
  if (stream.protocol === 'udp' && shape >= 6 && random.below(4) === 0) made.frame.fill(0, L4 + 6, L4 + 8);
  if (random.below(12) === 0 && gsoSize === 0) made.frame = Uint8Array.from([...made.frame, 0xa5, 0xa5, 0xa5]);
  return made;
}

function mutate(random: Random, { frame, vnet: header }: MemoryFrame): void {
  for (let change = random.below(3); change >= 0; change--) {
    if (random.below(8) === 0) header[random.below(10)] = random.below(12);
    else frame[IP + random.below(Math.min(HEADERS, frame.length - IP))] ^= 1 << random.below(8);
  }
  const isWhole = ipv4.headerBytes(frame, IP) <= frame.length - IP;
  if (random.below(4) > 0 && isWhole) ipv4.fillHeaderChecksum(frame, IP);
}

/** Two gateways that know the same flows, all opened by their first packets. */
function twins(): { fast: Side; slow: Side; known: Stream[] } {
  const fast = new Side(true);
  const slow = new Side(false);
  const known = streams();
  for (const side of [fast, slow]) {
    side.send([packet({ protocol: 'udp', sender: 1, from: [ipOf(1), 20_000], to: [FAR, 9], sequence: 0 }, 0, {})]);
    side.resolveRouter();
    for (const [index, stream] of known.entries()) {
      const flags = index % 2 === 0 ? tcp.Flag.syn : tcp.Flag.syn | tcp.Flag.ack;
      const first = { ...stream, sequence: stream.sequence - 1 };
      side.send([packet(first, known[index ^ 1].sequence, { payload: payload(0), flags })]);
    }
  }
  expect(fast.state()).toEqual(slow.state());
  expect(slow.state().flows).toHaveLength(known.length / 2 + 1);
  return { fast, slow, known };
}

/** As lines, which are compared faster than arrays: port, vnet header, frame. */
function text(outputs: Output[]): string[] {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return outputs.flatMap(([port, left]) => left.map(({ frame, vnet: header }) => `${port} ${hex(header)} ${hex(frame)}`));
}

/** The router is heard again, so that it is never asked: the fast path may ask a little earlier, for a packet that is refused in the end. */
function later(seconds: number, ...sides: Side[]): void {
  for (const side of sides) {
    side.gateway.simulation.clock.advanceSeconds(seconds);
    side.resolveRouter();
  }
}

beforeEach(() => {
  // Seeds of tables and identifications: the same for both.
  vi.spyOn(Math, 'random').mockReturnValue(0.375);
});

afterEach(() => {
  vi.restoreAllMocks();
});

test('the slow one takes no frame by the fast path, the other one nearly all that are plain', () => {
  const { fast, slow, known } = twins();
  const before = fast.taken;
  for (const [index, stream] of known.entries()) {
    const frames = [packet(stream, known[index ^ 1].sequence, { payload: payload(50), partial: true })];
    const out = fast.send(frames);
    expect(out).toEqual(slow.send(frames));
    expect(out.map(([, left]) => left.length).reduce((sum, count) => sum + count)).toBe(1);
  }
  expect(fast.taken - before).toBe(known.length);
  expect(slow.taken).toBe(0);
});

test.each([
  ['udp', 6, 0xffff],
  ['tcp', 16, 0],
] as const)('E.4: a checksum of %s that comes out as 0', (protocol, field, expected) => {
  const { fast, slow, known } = twins();
  const index = known.findIndex((stream) => stream.protocol === protocol);
  const sent = (word: number): number => {
    const data = Uint8Array.of(word >>> 8, word);
    const frame = packet(known[index], known[index ^ 1].sequence, { payload: data });
    frame.vnet[0] = vnet.Flag.dataValid;
    const out = fast.send([frame]);
    expect(text(out)).toEqual(text(slow.send([frame])));
    const [{ frame: left }] = out[0][1];
    return (left[L4 + field] << 8) | left[L4 + field + 1];
  };
  const before = fast.taken;
  // The payload that takes away what the sum was without it.
  expect(sent(sent(0))).toBe(expected);
  expect(fast.taken - before).toBe(2);
});

test.each(SEEDS)('valid frames of known flows come out as by the slow path, seed %i', (seed) => {
  const random = new Random(seed);
  const { fast, slow, known } = twins();
  for (let round = 0; round < ROUNDS; round++) {
    const frames = Array.from({ length: 1 + random.below(6) }, () => randomFrame(random, known));
    expect(text(fast.send(frames)), `round ${round}`).toEqual(text(slow.send(frames)));
    if (random.below(40) === 0) later(random.below(4), fast, slow);
    if (round % 50 === 0) expect(fast.state(), `round ${round}`).toEqual(slow.state());
  }
  expect(fast.state()).toEqual(slow.state());
  expect(fast.taken).toBeGreaterThan(ROUNDS / 2);
  expect(fast.state().bridge.forwarded_in).toBeGreaterThan(100);
  expect(fast.state().bridge.hairpinned).toBeGreaterThan(100);
  expect(fast.state().bridge.forwarded_out).toBeGreaterThan(100);
});

test.each(SEEDS)('so do frames whose headers are changed at random, seed %i', (seed) => {
  const random = new Random(seed + 100);
  const { fast, slow, known } = twins();
  for (let round = 0; round < ROUNDS; round++) {
    const frames = Array.from({ length: 1 + random.below(4) }, () => randomFrame(random, known));
    for (const each of frames) if (random.below(2) === 0) mutate(random, each);
    expect(text(fast.send(frames)), `round ${round}`).toEqual(text(slow.send(frames)));
    if (random.below(40) === 0) later(1, fast, slow);
    if (round % 50 === 0) expect(fast.state(), `round ${round}`).toEqual(slow.state());
  }
  expect(fast.state()).toEqual(slow.state());
  expect(fast.taken).toBeGreaterThan(ROUNDS / 4);
});

test.each(SEEDS)('so do echoes and their answers, changed at random every other time, seed %i', (seed) => {
  const random = new Random(seed + 200);
  const { fast, slow } = twins();
  const id = 20_500;
  const request = echo(ipOf(1), FAR, id, { sourceMac: macOf(1) });
  for (const side of [fast, slow]) side.send([{ sender: 1, frame: request, vnet: new Uint8Array(vnet.HEADER_BYTES) }]);
  const before = fast.taken;
  for (let round = 0; round < ROUNDS; round++) {
    const isAnswer = random.below(2) === 0;
    const options = { dontFragment: random.below(2) === 0, ttl: random.below(20) === 0 ? random.below(3) : 64 };
    const frame = isAnswer
      ? echo(FAR, UPLINK_IP, id, { ...options, sourceMac: ROUTER_MAC, destinationMac: UPLINK_MAC, type: icmp.Type.echoReply })
      : echo(ipOf(1), FAR, id, { ...options, sourceMac: macOf(1) });
    const made = { sender: isAnswer ? 0 : 1, frame, vnet: new Uint8Array(vnet.HEADER_BYTES) };
    made.vnet[0] = random.below(3) === 0 ? vnet.Flag.dataValid : 0;
    if (random.below(2) === 0) mutate(random, made);
    expect(text(fast.send([made])), `round ${round}`).toEqual(text(slow.send([made])));
  }
  expect(fast.state()).toEqual(slow.state());
  expect(fast.taken - before).toBeGreaterThan(ROUNDS / 5);
});
