/**
 * A gateway without a kernel: a bridge with containers, an uplink with a router behind it, a clock turned by hand.
 *
 *     container n, 10.0.0.n ─┐
 *     container m, 10.0.0.m ─┼─ bridge 0, gateway 10.0.0.254 ─ uplink 192.0.2.1 ─ router 192.0.2.254 ─ everybody else
 *                            └─ the host: host port
 */
import { EntryKind } from '../../src/bridge/fdb.js';
import { UPLINK } from '../../src/bridge/port-table.js';
import { TIMEOUTS_RFC } from '../../src/conntrack/timeouts.js';
import { GATEWAY, type GatewayCounter } from '../../src/core/counters.js';
import type { GatewaySettings, NatSettings, PublishSettings, RouteRow } from '../../src/engine/protocol.js';
import type { Gateway } from '../../src/gateway/gateway.js';
import { FIRST_UPLINK } from '../../src/gateway/zones.js';
import { type MemoryPeer, memoryPair } from '../../src/port/memory-port.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { parseMac } from '../../src/wire/mac-address.js';
import { GATEWAY_MAC, ipOf, macOf } from './frames.js';
import { type SimulatedPort, Simulation } from './simulation.js';

export const UPLINK_IP = '192.0.2.1';
export const UPLINK_MAC = '02:00:00:00:bb:01';
export const ROUTER_IP = '192.0.2.254';
export const ROUTER_MAC = '02:00:00:00:cc:01';
export const GATEWAY_IP = ipOf(254);
const UPLINK_PORT = 60;
const HOST_PORT = 59;

export interface GatewayOptions extends Partial<GatewaySettings> {
  flowLimit?: number;
  flowShare?: number;
  nat?: Partial<NatSettings>;
  uplinkMtu?: number;
  /** Further addresses of the uplink. */
  addresses?: string[];
  /** Where its flows are. */
  flowFile?: { descriptor: number; at: number; adopt: boolean };
  /** When it begins; 1000 by default. */
  seconds?: number;
}

export class GatewaySimulation {
  readonly simulation: Simulation;
  readonly gateway: Gateway;
  readonly host: MemoryPeer;
  readonly uplink: MemoryPeer;
  private readonly options: GatewayOptions;
  private publishes = 0;

  constructor(options: GatewayOptions = {}) {
    this.options = options;
    const simulation = new Simulation({ subnet: { network: parseIpv4('10.0.0.0'), prefix: 24 } }, 64);
    const { engine } = simulation;
    this.simulation = simulation;
    simulation.clock.advanceSeconds((options.seconds ?? 1000) - 1000);
    simulation.run();
    this.host = this.addPort(HOST_PORT, 0, true);
    const { flowLimit = 1024, flowShare = 1024, nat = {}, uplinkMtu = 1500, addresses = [] } = options;
    simulation.execute('open-gateway', {
      flowLimit,
      flowShare,
      guard: -1,
      ...(options.flowFile !== undefined && { flowFile: options.flowFile }),
      settings: {
        filter: 'apdf',
        ranges: [
          [600, 1023],
          [20_000, 29_999],
        ],
        timeouts: TIMEOUTS_RFC,
        loose: true,
        liberal: false,
        ...nat,
      },
    });
    this.gateway = engine.gateway as Gateway;
    this.uplink = this.addPort(UPLINK_PORT, UPLINK, false);
    this.setUplink({ mtu: uplinkMtu, addresses: [UPLINK_IP, ...addresses] });
    this.setRoutes([route('0.0.0.0', 0, ROUTER_IP), route('192.0.2.0', 24, '0.0.0.0')]);
    this.setGateway({});
    simulation.run();
  }

  setUplink({ mtu = 1500, addresses = [UPLINK_IP], up = true }: { mtu?: number; addresses?: string[]; up?: boolean }): void {
    const { high, low } = parseMac(UPLINK_MAC);
    const all = addresses.map(parseIpv4);
    const uplink = { port: UPLINK_PORT, macHigh: high, macLow: low, mtu, address: all[0] ?? 0, addresses: all, up };
    this.gateway.settings.setUplink(0, uplink, this.simulation.engine.seconds);
    this.simulation.engine.table.mtu[UPLINK_PORT] = mtu;
  }

  setRoutes(routes: RouteRow[], locals = [UPLINK_IP, ...(this.options.addresses ?? []), GATEWAY_IP]): void {
    const broadcasts = Int32Array.from(['10.0.0.255', '192.0.2.255'], parseIpv4);
    this.simulation.execute('set-routes', { routes, locals: Int32Array.from(locals, parseIpv4), broadcasts });
  }

  setGateway(settings: Partial<GatewaySettings>): void {
    const { internal = false, egressAddress = 0, mssClamp = 'auto', rules = [] } = this.options;
    this.simulation.execute('set-gateway', {
      bridge: 0,
      settings: {
        hostPort: HOST_PORT,
        mac: parseMac(GATEWAY_MAC),
        address: parseIpv4(GATEWAY_IP),
        network: parseIpv4('10.0.0.0'),
        prefix: 24,
        mtu: 1500,
        uplink: -1,
        internal,
        egressAddress,
        mssClamp,
        rules,
        ...settings,
      },
    });
  }

  /** A container with the address of host n. */
  container(n: number): SimulatedPort {
    // What the port would drop already is the gateway's to drop here.
    return this.simulation.port({ mac: macOf(n), ip: ipOf(n), flags: { sourceGuard: false } });
  }

  publish(settings: Partial<PublishSettings> & Pick<PublishSettings, 'hostPort' | 'port' | 'address' | 'owner'>): number {
    const id = ++this.publishes;
    this.simulation.execute('add-publish', {
      settings: { id, bridge: 0, protocol: 'udp', hostAddress: 0, count: 1, ...settings },
    });
    return id;
  }

  /** What came out to the router, ARP requests answered on the way. */
  count(counter: GatewayCounter, zone = 0): number {
    return this.simulation.engine.gatewayCounters.get(zone, GATEWAY[counter]);
  }

  get uplinkZone(): number {
    return FIRST_UPLINK;
  }

  private addPort(number: number, bridge: number, local: boolean): MemoryPeer {
    const { port, peer } = memoryPair();
    const { engine } = this.simulation;
    // Learning, all floods, up; the host port is the gateway's own, and guards its sources. An uplink is the keeper's alone.
    for (const each of local ? this.simulation.engines : [engine]) {
      each.addPort(number, port, { bridge, flags: local ? 0x31f : 1, mtu: 1500, macLimit: 0 });
    }
    if (local) {
      const mac = parseMac(GATEWAY_MAC);
      engine.pin(0, 0, mac.high, mac.low, number, EntryKind.local);
    }
    return peer;
  }
}

export function route(network: string, prefix: number, gateway: string): RouteRow {
  return { network: parseIpv4(network), prefix, gateway: parseIpv4(gateway), metric: 0, type: 'unicast', uplink: 0, mtu: 0 };
}
