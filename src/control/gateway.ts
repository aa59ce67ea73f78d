/**
 * The control plane of the gateway: what of the host and of the bridges the engine has to know, kept up to date.
 *
 *     bridges made, changed, removed ─┐
 *     the host's network (watch) ─────┼─▶ update ─▶ uplinks ─▶ set-routes ─▶ set-gateway, each only when it differs from what was sent
 *     uplinks that failed (engine) ───┘
 *     every 2 s ─▶ what the host listens on ─▶ set-reserved
 *
 * Invariants: `update` runs inside the queue of changes (serial.ts), so it sees a settled state; the engine's gateway is opened once, with the first
 * bridge that has a way out or is internal, and stays until the daemon ends; uplinks and their guards go with the last bridge that wants them, and with
 * it the looking at the host's network. A host with plain bridges only never gets there.
 * After a crash `restore` comes first and `restored` last: in between the engine routes nothing, so no flow it took over is looked at before all there is
 * to it (gateway/adoption.ts).
 * Limits: as the engine's: 16 uplinks; 1,024 rules of a bridge; 65,535 published ports.
 */
import type { EngineEvent } from '../engine/protocol.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import { type ControlContext, portAt, save } from './context.js';
import { ControlError } from './control-error.js';
import { FlowFile, removeFlowFile } from './flow-file.js';
import { FlowWatch } from './flows.js';
import { UplinkGuard } from './guard.js';
import { guardRules } from './guard-rules.js';
import { reservedPorts } from './host-sockets.js';
import { findUsableInterface } from './interface-port.js';
import { reasonOf } from './log.js';
import type { GatewayInfo, UplinkInfo } from './model.js';
import { type NatOptions, natSettings, shareOf, timeoutsOf } from './nat-options.js';
import { defaultInterfaces, hostAddresses, interfaceSubnets, type Network, readNetwork, routeRows } from './network.js';
import { NetworkWatch } from './network-watch.js';
import { Publishes } from './publishes.js';
import type { BridgeRecord, PortRecord } from './records.js';
import { gatewaySettings, goesOut, isRouted, namedUplinks, type Routing } from './routing.js';
import type { Serial } from './serial.js';
import type { SavedState, SavedUplink } from './state-store.js';
import { Uplinks } from './uplinks.js';

const RESERVED_MILLIS = 2000;
/** A host whose routes change all the time (a routing daemon with a full table) takes at most a tenth of this thread. */
const PAUSE_FACTOR = 9;

export class Gateway {
  readonly publishes: Publishes;
  readonly flowWatch: FlowWatch;
  private readonly context: ControlContext;
  private readonly serial: Serial;
  private readonly options: NatOptions;
  private readonly uplinks: Uplinks;
  private readonly watch: NetworkWatch;
  private guard: UplinkGuard | null = null;
  private timer: NodeJS.Timeout | undefined;
  /** What the engine was told last, as text: the routes, and the gateway of each bridge by number. */
  private sentRoutes = '';
  private readonly sentGateways = new Map<number, string>();
  private readonly reserved: Record<'tcp' | 'udp', Uint16Array> = { tcp: new Uint16Array(0), udp: new Uint16Array(0) };
  private sentRules = '';
  /** 'uplink bridge' of overlaps that were told. */
  private overlaps = new Set<string>();
  /** Names of the interfaces 'auto' stands for at present. */
  private automatic: ReadonlySet<string> = new Set();
  private waiting = false;
  private closed = false;
  /** The bridges of the record are being made again. */
  private restoring = false;
  /** Where flows outlive the daemon; null: nowhere. */
  private readonly flowFile: string | null;

  constructor(context: ControlContext, serial: Serial, options: NatOptions, flowFile: string | null = null) {
    this.flowFile = flowFile;
    this.context = context;
    this.serial = serial;
    this.options = options;
    this.publishes = new Publishes(context);
    this.flowWatch = new FlowWatch(context, () => timeoutsOf(options));
    this.uplinks = new Uplinks(context, () => this.guard as UplinkGuard);
    this.watch = new NetworkWatch(context.binding, context.log, () => this.changed());
  }

  /** The engine's gateway is open. */
  get isOpen(): boolean {
    return this.guard !== null;
  }

  /** Before anything of the record is made again: uplinks get the numbers they had, and flows they were of are taken over. */
  restore(saved: SavedState): void {
    this.restoring = true;
    this.uplinks.restore(saved.uplinks);
  }

  /** All of the record that is still there is made again: flows of what is missing end, and the others go on. Only inside of a change. */
  async restored(): Promise<void> {
    this.restoring = false;
    await this.uplinks.restored();
    if (this.isOpen) {
      const { ended } = await this.context.engine.call('flows-restored', {});
      if (ended > 0)
        this.context.log.info({ ended }, `${ended} connections through the gateway ended: what they were of did not come back`);
    } else if (this.flowFile !== null) {
      removeFlowFile(this.flowFile, this.context.log);
    }
    this.context.changes.disinherit();
  }

  /** Numbers of the uplinks, for the record. */
  savedUplinks(): SavedUplink[] {
    return this.uplinks.saved();
  }

  /** What an interface is used for, as the end of a sentence. */
  uplinkOf(index: number): string | undefined {
    const uplink = this.uplinks.atIndex(index);
    return uplink === undefined ? undefined : `the uplink of ${this.bridgesOf(uplink.name).join(', ')}`;
  }

  /** Tells the engine what has changed. Only inside of a change. @throws Error of the engine */
  async update(): Promise<void> {
    const bridges = [...this.context.bridges.values()];
    if (!bridges.some(isRouted) && !this.isOpen) return;
    await this.open();
    const began = performance.now();
    const out = bridges.filter(goesOut);
    if (out.length > 0) this.watch.start();
    const network = readNetwork(this.context.netlink);
    await this.uplinks.follow(network, this.wanted(network, out));
    this.reportOverlaps(network, bridges);
    await this.sendRoutes(network, bridges);
    for (const bridge of bridges) await this.sendGateway(bridge);
    if (out.length > 0) {
      await this.sendReserved();
      this.timer ??= setInterval(() => this.look(), RESERVED_MILLIS).unref();
      this.watch.pause(PAUSE_FACTOR * (performance.now() - began));
    } else {
      this.rest();
    }
  }

  /** What is newly asked for by name must be there. @throws ControlError */
  checkRouting(routing: Routing, before: Routing | null): void {
    for (const name of routing.uplink === before?.uplink ? [] : namedUplinks(routing)) {
      findUsableInterface(this.context.netlink, name, (index) => portAt(this.context, index));
    }
    const { egressAddress } = routing;
    if (egressAddress !== 0 && egressAddress !== before?.egressAddress) this.checkEgress(egressAddress);
  }

  /** An address to translate to must be one of the host's, and lead outside: a bridge's own does not. @throws ControlError with those there are */
  checkEgress(address: number): void {
    const ours = this.ownIndexes();
    const { addresses } = readNetwork(this.context.netlink);
    const usable = addresses.filter(({ index }) => !ours.has(index)).map((each) => each.address);
    const asked = formatIpv4(address);
    if (usable.includes(asked)) return;
    const names = usable.filter((each) => !each.startsWith('127.'));
    const hint = names.length === 0 ? 'leave it out' : `there are: ${names.slice(0, 10).join(', ')}`;
    const own = addresses.find((each) => each.address === asked);
    if (own === undefined) throw new ControlError('not-found', `the host has no address ${asked} to translate to`, hint);
    const bridge = [...this.context.bridges.values()].find(({ host }) => host.index === own.index);
    const what = `${asked} is the address of bridge ${bridge?.name}: flows to the outside cannot be translated to it`;
    throw new ControlError('invalid', what, hint);
  }

  /** @param address 0 takes the choice back. @throws ControlError */
  checkPortEgress(bridge: BridgeRecord, port: PortRecord, address: number): void {
    if (address === 0) return;
    if (!goesOut(bridge) || port.kind === 'host' || port.ip === null) {
      const what = `port ${port.name} of bridge ${bridge.name} has no flows to translate`;
      throw new ControlError('invalid', what, 'it needs an address, and its bridge an uplink');
    }
    this.checkEgress(address);
  }

  /** What a bridge named could not be opened. @throws ControlError */
  refuseMissing(bridge: BridgeRecord): void {
    for (const name of namedUplinks(bridge.routing)) {
      const problem = goesOut(bridge) ? this.uplinks.problemOf(name) : undefined;
      if (problem !== undefined) throw new ControlError('failed', `${name} cannot be the uplink: ${problem}`);
    }
  }

  /** A bridge is about to go: its publishes went with its ports. */
  async bridgeLeaves(bridge: BridgeRecord): Promise<void> {
    if (!this.sentGateways.delete(bridge.number)) return;
    await this.context.engine.call('set-gateway', { bridge: bridge.number, settings: null });
  }

  /** A port was added to the engine, for the first time or again. */
  async portAdded(bridge: BridgeRecord, port: PortRecord): Promise<void> {
    if (!this.isOpen) return;
    if (port.kind === 'host') this.sentGateways.delete(bridge.number);
    await this.sendGateway(bridge);
    if (port.egressAddress !== 0) await this.sendEgress(port);
    await this.publishes.tellAgain(bridge, port);
  }

  /** A port is about to be removed: its publishes and the rules about it end. */
  async portLeaves(bridge: BridgeRecord, port: PortRecord): Promise<void> {
    await this.publishes.endOf(bridge, port);
    const rules = bridge.routing.rules.filter((rule) => rule.port !== port.name);
    if (rules.length === bridge.routing.rules.length) return;
    bridge.routing = { ...bridge.routing, rules };
    await this.sendGateway(bridge);
  }

  async sendEgress(port: PortRecord): Promise<void> {
    if (this.isOpen) await this.context.engine.call('set-egress', { port: port.number, address: port.egressAddress });
  }

  /** Tells the classic guard which ports are the gateway's: after publishes, addresses or the host's own ports changed. @throws ControlError */
  sendRules(): void {
    if (this.guard === null || this.guard.map >= 0) return;
    const addresses = [...this.uplinks.values()].flatMap((uplink) => uplink.addresses);
    const published = [...this.context.bridges.values()].flatMap(({ publishes }) => publishes);
    const rules = guardRules(addresses, natSettings(this.options).ranges, this.reserved, published);
    const text = JSON.stringify(rules);
    if (text === this.sentRules) return;
    // When it fails midway, some uplinks have the new ones: whatever is asked for next differs.
    this.sentRules = '';
    this.guard.setRules(rules);
    this.sentRules = text;
  }

  /** The engine gave up on a port. @returns whether it is an uplink's */
  failed(port: number, errno: number): boolean {
    const uplink = this.uplinks.atPort(port);
    if (uplink === undefined) return false;
    uplink.failed = true;
    this.context.log.warn({ uplink: uplink.name, errno }, `uplink ${uplink.name}: its interface went down`);
    this.changed();
    return true;
  }

  pressure(event: Extract<EngineEvent, { event: 'gateway-pressure' }>): void {
    const { used, size, relieved } = event;
    const table = {
      flows: 'the flow table',
      mappings: 'the table of NAT mappings',
      pool: `the NAT pool of ${formatIpv4(event.address)}`,
    }[event.table];
    const share = Math.round((100 * used) / Math.max(1, size));
    if (relieved) this.context.log.info({ used, size }, `${table} has room again: ${share} % in use`);
    else this.context.log.warn({ used, size }, `${table} is ${share} % full`);
  }

  /** What keeps bridges from the outside they asked for, in a sentence; null: nothing. */
  trouble(): string | null {
    for (const bridge of [...this.context.bridges.values()].filter(goesOut)) {
      const names = bridge.routing.uplink === 'auto' ? [...this.automatic] : namedUplinks(bridge.routing);
      if (names.some((name) => this.uplinks.find(name)?.up === true)) continue;
      const [first] = names;
      const why =
        first === undefined ? 'the host has no default route' : (this.uplinks.problemOf(first) ?? `${first} is down or missing`);
      return `bridge ${bridge.name} has no way out: ${why}`;
    }
    return null;
  }

  listUplinks(): UplinkInfo[] {
    return [...this.uplinks.values()].map((uplink) => this.uplinks.info(uplink, this.bridgesOf(uplink.name)));
  }

  async info(): Promise<GatewayInfo> {
    const { filter } = this.options;
    const timeouts = timeoutsOf(this.options);
    const closed = { flows: 0, flowLimit: this.options.flowLimit, mappings: 0, mappingLimit: 0, pools: [] };
    const use = this.isOpen ? await this.context.engine.call('gateway-use', {}) : closed;
    const { flows, flowLimit, mappings, mappingLimit } = use;
    const pools = use.pools.map((pool) => ({ ...pool, address: formatIpv4(pool.address) }));
    return { filter, flows, flowLimit, mappings, mappingLimit, pools, timeouts };
  }

  /** Before bridges are left to the next daemon: their flows are, too. */
  async leave(): Promise<void> {
    this.flowWatch.stop();
    if (this.isOpen) await this.context.engine.call('leave-gateway', {});
  }

  /**
   * With a dead engine only what the kernel holds.
   * @param keep for the next daemon: listeners end, guards and flows stay
   */
  async close(engineFailed: boolean, keep = false): Promise<void> {
    this.closed = true;
    this.rest();
    if (keep) {
      this.publishes.drop();
      this.uplinks.leave();
      return;
    }
    if (engineFailed) {
      this.publishes.drop();
      this.uplinks.drop();
    } else {
      this.flowWatch.stop();
      await this.uplinks.closeAll();
    }
    this.guard?.close();
    if (this.flowFile !== null) removeFlowFile(this.flowFile, this.context.log);
  }

  private async open(): Promise<void> {
    if (this.guard !== null) return;
    const { binding, netlink, changes, log } = this.context;
    const lasting = this.flowFile !== null;
    const parts = { binding, netlink, changes, log, lasting, record: () => save(this.context) };
    const guard = UplinkGuard.open(parts, this.options.guard);
    try {
      await this.openEngine(guard.map);
    } catch (error) {
      guard.close();
      throw error;
    }
    this.guard = guard;
    this.flowWatch.start();
    for (const { port } of this.context.ports.values()) if (port.egressAddress !== 0) await this.sendEgress(port);
  }

  private async openEngine(guard: number): Promise<void> {
    const { log, engine, instance } = this.context;
    const { flowLimit } = this.options;
    const settings = { flowLimit, flowShare: shareOf(this.options), guard, settings: natSettings(this.options, log) };
    const path = this.flowFile;
    const file = path === null ? null : FlowFile.open({ path, limit: flowLimit, instance, adopt: this.restoring }, log);
    if (file === null) {
      await engine.call('open-gateway', settings);
      return;
    }
    const { descriptor, at, adopt } = file;
    try {
      const { flows } = await engine.call('open-gateway', { ...settings, flowFile: { descriptor, at, adopt } });
      if (flows > 0) log.info({ flows }, `${flows} connections through the gateway were taken over`);
    } catch (error) {
      const reason = reasonOf(error);
      log.warn({ file: path, reason }, `connections through NAT will not survive a crash: ${reason}`);
      removeFlowFile(path as string, log);
      await engine.call('open-gateway', settings);
    } finally {
      file.close();
    }
  }

  private wanted(network: Network, bridges: readonly BridgeRecord[]): Set<string> {
    this.automatic = new Set(defaultInterfaces(network, this.ownIndexes()).map(({ name }) => name));
    return new Set(bridges.flatMap(({ routing }) => (routing.uplink === 'auto' ? [...this.automatic] : namedUplinks(routing))));
  }

  private async sendRoutes(network: Network, bridges: readonly BridgeRecord[]): Promise<void> {
    const gateways = bridges.flatMap(({ pool }) => (pool === null ? [] : [pool.gateway]));
    const { locals, broadcasts } = hostAddresses(network, gateways);
    const routes = routeRows(network, this.uplinks.numbersByIndex(), this.ownIndexes());
    const text = JSON.stringify([routes, [...locals], [...broadcasts]]);
    if (text === this.sentRoutes) return;
    await this.context.engine.call('set-routes', { routes, locals, broadcasts });
    this.sentRoutes = text;
  }

  private async sendGateway(bridge: BridgeRecord): Promise<void> {
    if (!this.isOpen) return;
    const uplinkNumber = (name: string) => this.uplinks.find(name)?.number ?? -1;
    const settings = isRouted(bridge) ? gatewaySettings(bridge, uplinkNumber) : null;
    const text = JSON.stringify(settings);
    if (text === (this.sentGateways.get(bridge.number) ?? 'null')) return;
    await this.context.engine.call('set-gateway', { bridge: bridge.number, settings });
    if (settings === null) this.sentGateways.delete(bridge.number);
    else this.sentGateways.set(bridge.number, text);
  }

  private async sendReserved(): Promise<void> {
    for (const protocol of ['tcp', 'udp'] as const) {
      const ports = reservedPorts(protocol);
      if (ports.join() === this.reserved[protocol].join()) continue;
      await this.context.engine.call('set-reserved', { protocol, ports });
      this.reserved[protocol] = ports;
    }
    this.sendRules();
  }

  /** N25: the inside stays reachable, because the bridges' own subnets are asked before the routes. */
  private reportOverlaps(network: Network, bridges: readonly BridgeRecord[]): void {
    const found = new Set<string>();
    for (const uplink of this.uplinks.values()) {
      for (const subnet of interfaceSubnets(network, uplink.index)) {
        const bridge = bridges.find(({ pool }) => pool?.subnet.overlaps(subnet));
        if (bridge === undefined) continue;
        const key = `${uplink.name} ${subnet} ${bridge.name}`;
        found.add(key);
        if (this.overlaps.has(key)) continue;
        const fields = { event: 'overlap', uplink: uplink.name, bridge: bridge.name };
        const what = `${subnet} of uplink ${uplink.name} overlaps ${bridge.pool?.subnet} of bridge ${bridge.name}`;
        this.context.log.warn(fields, `${what}: the containers stay reachable, hosts of the same addresses outside are not`);
      }
    }
    this.overlaps = found;
  }

  private ownIndexes(): Set<number> {
    return new Set([...this.context.bridges.values()].map(({ host }) => host.index));
  }

  private bridgesOf(uplink: string): string[] {
    return [...this.context.bridges.values()]
      .filter((bridge) => goesOut(bridge))
      .filter(({ routing }) => (routing.uplink === 'auto' ? this.automatic.has(uplink) : namedUplinks(routing).includes(uplink)))
      .map(({ name }) => name);
  }

  /** Something changed outside: one update is enough for all that is waiting. */
  private changed(): void {
    if (this.waiting || this.closed) return;
    this.waiting = true;
    void this.serial.run(async () => {
      this.waiting = false;
      if (this.closed) return;
      await this.update().catch((error) => {
        this.context.log.error({ reason: reasonOf(error) }, 'cannot follow a change of the network');
      });
      try {
        // Uplinks may have come and gone.
        save(this.context);
      } catch (error) {
        this.context.log.error({ reason: reasonOf(error) }, 'cannot write the record after a change of the network');
      }
    });
  }

  private look(): void {
    if (this.uplinks.incomplete) this.changed();
    void this.serial.run(async () => {
      if (this.closed) return;
      try {
        await this.sendReserved();
        await this.publishes.listenAgain();
      } catch (error) {
        this.context.log.error({ reason: reasonOf(error) }, 'cannot tell which ports the host has');
      }
    });
  }

  private rest(): void {
    this.watch.stop();
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
