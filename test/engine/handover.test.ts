/** Frames for the gateway that another thread than the keeper receives: two engines over the same tables, side by side. */
import { describe, expect, test } from 'vitest';
import { EntryKind } from '../../src/bridge/fdb.js';
import { UPLINK } from '../../src/bridge/port-table.js';
import { TIMEOUTS_RFC } from '../../src/conntrack/timeouts.js';
import { ManualClock } from '../../src/core/clock.js';
import { GATEWAY, type GatewayCounter, PORT } from '../../src/core/counters.js';
import { HandoverRing } from '../../src/core/handover-ring.js';
import { burstIoOptions } from '../../src/engine/burst-io-options.js';
import { execute, flagBits } from '../../src/engine/commands.js';
import { Engine } from '../../src/engine/engine.js';
import {
  type CommandArguments,
  type CommandName,
  DEFAULT_BRIDGE_SETTINGS,
  DEFAULT_PORT_FLAGS,
} from '../../src/engine/protocol.js';
import { Distribution } from '../../src/engine/scope.js';
import { SimulatedIo } from '../../src/engine/simulated-io.js';
import { memoryPair } from '../../src/port/memory-port.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { parseMac } from '../../src/wire/mac-address.js';
import { arpReply, GATEWAY_MAC, ipOf, macOf } from '../sim/frames.js';
import { route, UPLINK_IP, UPLINK_MAC } from '../sim/gateway-simulation.js';
import { datagram, read } from '../sim/packets.js';

const [CONTAINER, HOST, UPLINK_PORT] = [1, 2, 3];
const ROUTER = { ip: '192.0.2.254', mac: '02:00:00:00:cc:01' };
const PEER = '198.51.100.7:53';
const WAKER = 77;

class WakingIo extends SimulatedIo {
  override readonly waker = WAKER;
  readonly sleeps: number[] = [];

  override receive(...[, sleep]: [number?, number?]): number {
    this.sleeps.push(sleep as number);
    return super.receive();
  }
}

/** Two engines; each has a cable of its own to the container and the host, the keeper alone one to the uplink, whose router is known. */
class Pair {
  readonly clock = new ManualClock();
  readonly woken: number[] = [];
  readonly ios: WakingIo[] = [];
  readonly engines: Engine[];
  /** The container's ends, by thread. */
  readonly ends;
  readonly uplink;
  private readonly distribution = new Distribution(2, 8);

  constructor(ringBytes?: number) {
    this.clock.advanceSeconds(1000);
    const ioOptions = burstIoOptions(8);
    const handover = [HandoverRing.allocate(ringBytes)];
    this.engines = [0, 1].map((index) => {
      const io = new WakingIo(ioOptions, this.clock);
      this.ios.push(io);
      const wake = (waker: number) => void this.woken.push(waker);
      return new Engine({ io, ioOptions, place: { index, count: 2, handover }, wake });
    });
    this.execute('add-bridge', { bridge: 0, settings: DEFAULT_BRIDGE_SETTINGS });
    const ranges: [number, number][] = [[20_000, 29_999]];
    const settings = { filter: 'apdf' as const, ranges, timeouts: TIMEOUTS_RFC, loose: true, liberal: false };
    this.execute('open-gateway', { flowLimit: 1024, flowShare: 1024, guard: -1, settings });
    this.ends = this.addPorts(CONTAINER, false);
    this.addPorts(HOST, true);
    // Datagrams stay as they are: their order is looked at.
    const { port, peer } = memoryPair({ udpSegmentation: false });
    this.uplink = peer;
    const [keeper] = this.engines;
    keeper.addPort(UPLINK_PORT, port, { bridge: UPLINK, flags: 1, mtu: 1500, macLimit: 0 });
    keeper.pin(0, 0, parseMac(macOf(1)).high, parseMac(macOf(1)).low, CONTAINER);
    keeper.bridges[0]?.neighbors.pin(parseIpv4(ipOf(1)), parseMac(macOf(1)).low, parseMac(macOf(1)).high);
    keeper.pin(0, 0, parseMac(GATEWAY_MAC).high, parseMac(GATEWAY_MAC).low, HOST, EntryKind.local);
    const address = parseIpv4(UPLINK_IP);
    const own = { port: UPLINK_PORT, macHigh: 0x0200, macLow: 0xbb01, mtu: 1500, address, addresses: [address], up: true };
    keeper.gateway?.settings.setUplink(0, own, keeper.seconds);
    const locals = Int32Array.of(address, parseIpv4(ipOf(254)));
    this.execute('set-routes', { routes: [route('0.0.0.0', 0, ROUTER.ip)], locals, broadcasts: new Int32Array(0) });
    this.setGateway(true);
    for (const engine of this.engines) engine.step(0);
  }

  execute<Name extends CommandName>(name: Name, args: CommandArguments<Name>): number[] {
    const orders = this.distribution.orders(name, args);
    for (const order of orders) execute(this.engines[order.thread], order.name, order.args);
    return orders.map(({ thread }) => thread);
  }

  setGateway(open: boolean): number[] {
    const [network, address] = ['10.0.0.0', ipOf(254)].map(parseIpv4);
    const zone = { hostPort: HOST, mac: parseMac(GATEWAY_MAC), address, network, prefix: 24, mtu: 1500 };
    const nat = { uplink: -1, internal: false, egressAddress: 0, mssClamp: 'off' as const, rules: [] };
    return this.execute('set-gateway', { bridge: 0, settings: open ? { ...zone, ...nat } : null });
  }

  /** Has a thread receive datagrams of the container, one for each inner port. */
  receive(thread: number, ports: number[]): void {
    for (const port of ports) this.ends[thread].send(datagram(`${ipOf(1)}:${port}`, PEER, { sourceMac: macOf(1) }));
    this.engines[thread].step(0);
  }

  /** Outer ports of what the router got, ascending: flows of different ports may change places. They are the inner ones, which lie in the pool. */
  arrived(): number[] {
    const ports: number[] = [];
    for (let next = this.uplink.receive(); next !== undefined; next = this.uplink.receive()) {
      const seen = /^udp 192\.0\.2\.1:(\d+) > 198/.exec(read(next.frame));
      if (seen !== null) ports.push(Number(seen[1]));
    }
    return ports.sort();
  }

  /** Sum over both threads. */
  count(counter: GatewayCounter, zone = 0): number {
    return this.engines.reduce((sum, { gatewayCounters }) => sum + gatewayCounters.get(zone, GATEWAY[counter]), 0);
  }

  /** The router makes itself known: somebody wants to go there, it is asked, and answers. */
  learnRouter(): void {
    // A port of the range: it is kept, and takes none of the others.
    this.receive(0, [29_999]);
    this.uplink.send(arpReply({ senderMac: ROUTER.mac, senderIp: ROUTER.ip, targetMac: UPLINK_MAC, targetIp: UPLINK_IP }));
    this.engines[0].step(0);
    this.arrived();
  }

  private addPorts(number: number, local: boolean) {
    return this.engines.map((engine) => {
      const { port, peer } = memoryPair();
      const flags = flagBits(DEFAULT_PORT_FLAGS, local);
      engine.addPort(number, port, { bridge: 0, flags, mtu: 1500, macLimit: 0 });
      return peer;
    });
  }
}

function ready(ringBytes?: number): Pair {
  const pair = new Pair(ringBytes);
  pair.learnRouter();
  return pair;
}

describe('handover', () => {
  test('what the second thread receives, the keeper routes, each frame counted once', () => {
    const pair = ready();
    const ports = Array.from({ length: 40 }, (_, index) => 20_000 + index);
    pair.receive(1, ports);
    expect(pair.arrived()).toEqual([]);
    pair.engines[0].step(0);
    expect(pair.arrived()).toEqual(ports);
    expect(pair.count('routed')).toBe(41);
    expect(pair.count('handed_over')).toBe(40);
    expect(pair.engines.map(({ portCounters }) => portCounters.get(CONTAINER, PORT.routed))).toEqual([1, 40]);
    expect(pair.engines.map(({ portCounters }) => portCounters.get(CONTAINER, PORT.rx_frames))).toEqual([1, 40]);
  });

  test('the frames of a flow stay in order', () => {
    const pair = ready();
    for (let number = 0; number < 100; number++) {
      const frame = datagram(`${ipOf(1)}:20000`, PEER, { sourceMac: macOf(1) }, Uint8Array.of(number));
      pair.ends[1].send(frame);
      if (number % 10 === 9) pair.engines[1].step(0);
      if (number % 30 === 29) pair.engines[0].step(0);
    }
    pair.engines[0].step(0);
    const seen = Array.from({ length: 100 }, () => pair.uplink.receive()?.frame.at(-1));
    expect(seen).toEqual(Array.from({ length: 100 }, (_, number) => number));
  });

  test('the answer comes through the keeper; both threads may carry the flow', () => {
    const pair = ready();
    pair.receive(1, [20_000]);
    pair.engines[0].step(0);
    pair.receive(0, [20_000]);
    pair.receive(1, [20_000]);
    pair.engines[0].step(0);
    expect(pair.arrived()).toEqual([20_000, 20_000, 20_000]);
    expect(pair.engines[0].gateway?.conntrack.flows.size).toBe(2);
    pair.uplink.send(datagram(PEER, `${UPLINK_IP}:20000`, { sourceMac: ROUTER.mac, destinationMac: UPLINK_MAC }));
    pair.engines[0].step(0);
    expect(read(pair.ends[0].receive()?.frame as Uint8Array)).toBe(`udp ${PEER} > ${ipOf(1)}:20000 ttl 63`);
  });

  test('the keeper is woken when it dozes, once, and does not sleep while frames wait', () => {
    const pair = ready();
    pair.engines[0].step(0);
    pair.receive(1, [20_000]);
    expect(pair.woken, 'it is awake').toEqual([]);
    pair.engines[0].step(-1);
    expect(pair.ios[0].sleeps.at(-1)).toBe(0);
    expect(pair.arrived()).toEqual([20_000]);

    // Asleep: what the second thread does meanwhile, it does in between.
    const { receive } = pair.ios[0];
    pair.ios[0].receive = (...args) => {
      pair.receive(1, [20_001, 20_002]);
      pair.receive(1, [20_003]);
      return receive.apply(pair.ios[0], args);
    };
    pair.engines[0].step(-1);
    expect(pair.woken).toEqual([WAKER]);
    expect(pair.ios[0].sleeps.at(-1)).toBeGreaterThan(0);
    expect(pair.arrived()).toEqual([20_001, 20_002, 20_003]);
  });

  test('a full ring drops, counted by its reason, and the rest goes on', () => {
    const pair = ready(4096);
    const ports = Array.from({ length: 60 }, (_, index) => 20_000 + index);
    pair.receive(1, ports);
    pair.engines[0].step(0);
    const arrived = pair.arrived();
    expect(arrived).toEqual(ports.slice(0, arrived.length));
    expect(arrived.length).toBeGreaterThan(30);
    expect(pair.count('handover_lost')).toBe(60 - arrived.length);
    expect(pair.count('routed')).toBe(61);
    pair.receive(1, [21_000]);
    pair.engines[0].step(0);
    expect(pair.arrived()).toEqual([21_000]);
  });

  test('super-frames enough to fill the batch: the keeper takes them pass by pass and loses none', () => {
    const pair = ready();
    const payload = new Uint8Array(60_000);
    for (let index = 0; index < 24; index++) {
      const frame = datagram(`${ipOf(1)}:${20_000 + index}`, PEER, { sourceMac: macOf(1), dontFragment: false }, payload);
      pair.ends[1].send(frame);
      if (index % 8 === 7) pair.engines[1].step(0);
    }
    pair.engines[0].step(0);
    const routed = () => pair.count('routed');
    expect(routed()).toBeGreaterThan(8);
    expect(routed()).toBeLessThan(25);
    for (let pass = 0; pass < 4; pass++) pair.engines[0].step(-1);
    expect(routed()).toBe(25);
    expect(pair.count('handover_lost')).toBe(0);
  });

  test('a bridge whose gateway is gone: the others hear of it first, and what is under way ends counted', () => {
    const pair = ready();
    pair.receive(1, [20_000]);
    expect(pair.setGateway(false)).toEqual([1, 0]);
    pair.engines[0].step(0);
    expect(pair.arrived()).toEqual([]);
    expect(pair.count('handover_lost')).toBe(1);
    expect(pair.setGateway(true)).toEqual([0, 1]);
    pair.receive(1, [20_001]);
    pair.engines[0].step(0);
    expect(pair.arrived()).toEqual([20_001]);
  });

  test('a port that is gone: its frames end counted', () => {
    const pair = ready();
    pair.receive(1, [20_000]);
    pair.execute('remove-port', { port: CONTAINER });
    pair.engines[0].step(0);
    expect(pair.arrived()).toEqual([]);
    expect(pair.count('handover_lost')).toBe(1);
  });

  test('a next hop the other thread learns of is noticed while frames wait', () => {
    const pair = new Pair();
    const keeper = pair.engines[0];
    const far = `${ipOf(9)}:9`;
    // Towards a container nobody knows: published, so that the gateway asks.
    pair.execute('add-publish', {
      settings: {
        id: 1,
        bridge: 0,
        protocol: 'udp',
        hostAddress: 0,
        hostPort: 9,
        count: 1,
        address: parseIpv4(ipOf(9)),
        port: 9,
        owner: CONTAINER,
      },
    });
    pair.uplink.send(datagram(PEER, `${UPLINK_IP}:9`, { sourceMac: ROUTER.mac, destinationMac: UPLINK_MAC }));
    keeper.step(0);
    keeper.step(-1);
    expect(pair.ios[0].sleeps.at(-1)).toBeLessThanOrEqual(10_000);
    const { high, low } = parseMac(macOf(1));
    pair.engines[1].bridges[0]?.neighbors.note(parseIpv4(ipOf(9)), low, high, keeper.seconds);
    pair.clock.now += 10_000;
    keeper.step(0);
    const seen = Array.from({ length: 4 }, () => pair.ends[0].receive()).filter((each) => each !== undefined);
    expect(seen.map(({ frame }) => read(frame)).at(-1)).toBe(`udp ${PEER} > ${far} ttl 63`);
  });
});
