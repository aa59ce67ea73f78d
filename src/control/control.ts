/**
 * The model behind every API call: bridges and their ports, made, changed, shown and removed.
 *
 *     HTTP, Docker, CNI, demo ─▶ Control ─┬─▶ netlink, addon     interfaces, namespaces
 *                                         ├─▶ engine             bridges and ports by number
 *                                         └─▶ state directory    what to restore after a crash
 *
 * Invariants: changes happen one after the other; a change happens wholly or not at all (undo.ts); what is made here is removed by `close`, what
 * is changed on the host is put back, what was there before stays. The record on disk says after each change what there is.
 * After a crash `start` first puts back what was changed on the host, then makes the bridges anew and attaches again what still has its
 * namespace or interface, under the same names and addresses; TAPs die with the process that made them.
 * Limits: 256 bridges; ports as the engine was started with (1,024), host ports among them.
 */
import { DEFAULT_MAX_PORTS, MAX_BRIDGES } from '../engine/protocol.js';
import type { Binding } from '../native/binding.js';
import { setLink } from '../netlink/link.js';
import { Netlink } from '../netlink/netlink.js';
import { Netns } from '../netlink/netns.js';
import { formatIpv4, parseIpv4 } from '../wire/ipv4-address.js';
import { parseMac } from '../wire/mac-address.js';
import { attachPort, checkFaults, closePort, detachPort, setPortMtu } from './attach.js';
import { checkSettings, makeBridge, settingsOf } from './bridges.js';
import { CaptureSession } from './capture-session.js';
import { bridgeOf, type ControlContext, portOf, save } from './context.js';
import { ControlError } from './control-error.js';
import { defined } from './defined.js';
import type { EngineLink } from './engine-link.js';
import { HostChanges } from './host-changes.js';
import { lookAtInterfaces } from './interface-status.js';
import { checkRange, MAC_LIMIT, MTU, SNAP_LENGTH } from './limits.js';
import { type Log, reasonOf, SILENT } from './log.js';
import type {
  AddFdb,
  AddNeighbor,
  AttachPort,
  BridgeInfo,
  CaptureOptions,
  ChangeBridge,
  ChangePort,
  CountersInfo,
  CreateBridge,
  FdbInfo,
  NeighborInfo,
  PortInfo,
} from './model.js';
import { Numbers } from './numbers.js';
import { PortWatch } from './port-watch.js';
import { type BridgeRecord, bridgeInfo, macText, type PortRecord, portInfo } from './records.js';
import { Serial } from './serial.js';
import type { SavedBridge, SavedPort, SavedState, StateStore } from './state-store.js';
import * as tables from './tables.js';
import { allOrNothing, type Undo } from './undo.js';

const MAX_CAPTURES = 16;
const NO_FAULTS = { seed: 1, loss: 0, duplicate: 0, reorder: 0, corrupt: 0, delayMicros: 0, jitterMicros: 0 };

export interface ControlOptions {
  binding: Binding;
  engine: EngineLink;
  log?: Log;
  /** Absent: nothing is kept on disk. */
  store?: StateStore | null;
  /** What the engine was started with. */
  maxPorts?: number;
}

export class Control {
  private readonly context: ControlContext;
  private readonly serial = new Serial();
  private readonly watch: PortWatch;
  private readonly captureNumbers = new Numbers(MAX_CAPTURES);
  private closing = false;

  private constructor(options: ControlOptions) {
    const { binding, engine, log = SILENT, store = null, maxPorts = DEFAULT_MAX_PORTS } = options;
    const netlink = Netlink.open(binding);
    this.context = {
      binding,
      engine,
      log,
      netlink,
      here: identityOfHere(binding),
      changes: new HostChanges(netlink, log),
      store,
      bridgeNumbers: new Numbers(MAX_BRIDGES),
      portNumbers: new Numbers(maxPorts),
      bridges: new Map(),
      captures: new Map(),
      ports: new Map(),
    };
    this.watch = new PortWatch(this.context, this.serial);
    engine.onEvent((event) => this.onEngineEvent(event));
  }

  /** Puts back and restores what a crashed daemon left in the store. */
  static async start(options: ControlOptions): Promise<Control> {
    const control = new Control(options);
    if (options.store) await control.restore(options.store.load(control.context.log));
    return control;
  }

  listBridges(): BridgeInfo[] {
    return [...this.context.bridges.values()].map(bridgeInfo);
  }

  getBridge(name: string): BridgeInfo {
    return bridgeInfo(bridgeOf(this.context, name));
  }

  createBridge(request: CreateBridge): Promise<BridgeInfo> {
    return this.change(async (undo) => {
      const bridge = await makeBridge(this.context, request, null, undo);
      this.context.bridges.set(bridge.name, bridge);
      undo.add(() => void this.context.bridges.delete(bridge.name));
      save(this.context);
      this.context.log.info({ bridge: bridge.name, subnet: request.subnet }, `bridge ${bridge.name} created`);
      return bridgeInfo(bridge);
    });
  }

  changeBridge(name: string, request: ChangeBridge): Promise<BridgeInfo> {
    return this.change(async () => {
      const bridge = bridgeOf(this.context, name);
      checkSettings(request);
      if (request.mtu !== undefined) {
        checkRange('the MTU', request.mtu, MTU);
        setLink(this.context.netlink, bridge.host.index, { mtu: request.mtu });
        await this.context.engine.call('set-port', { port: bridge.host.number, mtu: request.mtu });
        bridge.mtu = request.mtu;
        bridge.host.mtu = request.mtu;
      }
      const settings = settingsOf(request);
      if (Object.keys(settings).length > 0) {
        await this.context.engine.call('set-bridge', { bridge: bridge.number, settings });
        Object.assign(bridge.settings, settings);
      }
      save(this.context);
      return bridgeInfo(bridge);
    });
  }

  removeBridge(name: string): Promise<void> {
    return this.change(async () => {
      await this.takeDown(bridgeOf(this.context, name));
      save(this.context);
      this.context.log.info({ bridge: name }, `bridge ${name} removed`);
    });
  }

  /** The host port first, then as they were attached. */
  listPorts(bridgeName: string): PortInfo[] {
    const bridge = bridgeOf(this.context, bridgeName);
    const ports = [bridge.host, ...bridge.ports.values()];
    lookAtInterfaces(this.context, ports);
    return ports.map((port) => portInfo(bridge, port, this.context.engine.portCounters));
  }

  getPort(bridgeName: string, portName: string): PortInfo {
    const bridge = bridgeOf(this.context, bridgeName);
    const port = portOf(bridge, portName);
    lookAtInterfaces(this.context, [port]);
    return portInfo(bridge, port, this.context.engine.portCounters);
  }

  attach(bridgeName: string, request: AttachPort): Promise<PortInfo> {
    return this.change(async (undo) => {
      const bridge = bridgeOf(this.context, bridgeName);
      const port = await attachPort(this.context, bridge, request, null, undo);
      const { name, interface: ifname, netns, pid } = port;
      this.context.log.info(
        { bridge: bridgeName, port: name, interface: ifname, netns, pid },
        `port ${name} attached to ${bridgeName}`,
      );
      return portInfo(bridge, port, this.context.engine.portCounters);
    });
  }

  changePort(bridgeName: string, portName: string, request: ChangePort): Promise<PortInfo> {
    return this.change(async () => {
      const bridge = bridgeOf(this.context, bridgeName);
      const port = portOf(bridge, portName);
      if (request.macLimit !== undefined) checkRange('the MAC limit', request.macLimit, MAC_LIMIT);
      const flags = defined(request.flags ?? {});
      const faults =
        request.faults === undefined
          ? port.faults
          : request.faults === null
            ? null
            : { ...NO_FAULTS, ...port.faults, ...defined(request.faults) };
      if (faults !== null) checkFaults(faults);
      if (request.mtu !== undefined) setPortMtu(this.context, bridge, port, request.mtu);
      await this.context.engine.call('set-port', {
        port: port.number,
        flags,
        ...(request.mtu !== undefined && { mtu: request.mtu }),
        ...(request.macLimit !== undefined && { macLimit: request.macLimit }),
        ...(request.faults !== undefined && { faults }),
      });
      Object.assign(port.flags, flags);
      port.mtu = request.mtu ?? port.mtu;
      port.macLimit = request.macLimit ?? port.macLimit;
      port.faults = faults;
      save(this.context);
      lookAtInterfaces(this.context, [port]);
      return portInfo(bridge, port, this.context.engine.portCounters);
    });
  }

  detach(bridgeName: string, portName: string): Promise<void> {
    return this.change(async () => {
      const bridge = bridgeOf(this.context, bridgeName);
      const port = portOf(bridge, portName);
      if (port === bridge.host) {
        throw new ControlError(
          'invalid',
          `${portName} is the host port and stays with its bridge`,
          `remove the bridge: tapbridge rm ${portName}`,
        );
      }
      await detachPort(this.context, bridge, port);
      save(this.context);
      this.context.log.info({ bridge: bridgeName, port: portName }, `port ${portName} detached from ${bridgeName}`);
    });
  }

  async listFdb(bridge: string): Promise<FdbInfo[]> {
    return tables.listFdb(this.context, bridgeOf(this.context, bridge));
  }

  addFdb(bridge: string, request: AddFdb): Promise<void> {
    return this.change(() => tables.addFdb(this.context, bridgeOf(this.context, bridge), request));
  }

  removeFdb(bridge: string, mac: string, vlan = 0): Promise<void> {
    return this.change(() => tables.removeFdb(this.context, bridgeOf(this.context, bridge), mac, vlan));
  }

  /** Forgets what was learned; static entries stay. @returns how many */
  flushFdb(bridge: string): Promise<number> {
    return this.change(() => tables.flushFdb(this.context, bridgeOf(this.context, bridge)));
  }

  async listNeighbors(bridge: string): Promise<NeighborInfo[]> {
    return tables.listNeighbors(this.context, bridgeOf(this.context, bridge));
  }

  addNeighbor(bridge: string, request: AddNeighbor): Promise<void> {
    return this.change(() => tables.addNeighbor(this.context, bridgeOf(this.context, bridge), request));
  }

  removeNeighbor(bridge: string, ip: string): Promise<void> {
    return this.change(() => tables.removeNeighbor(this.context, bridgeOf(this.context, bridge), ip));
  }

  counters(bridge: string): CountersInfo {
    return tables.countersOf(this.context, bridgeOf(this.context, bridge));
  }

  /** Starts a capture; its session hands out pcapng until it is closed. */
  capture(bridgeName: string, options: CaptureOptions = {}): Promise<CaptureSession> {
    return this.change(async () => {
      const bridge = bridgeOf(this.context, bridgeName);
      const port = options.port === undefined ? null : portOf(bridge, options.port);
      checkRange('the snap length', options.snapLength ?? SNAP_LENGTH.max, SNAP_LENGTH);
      if (options.count !== undefined) checkRange('the count', options.count, { min: 1, max: Number.MAX_SAFE_INTEGER });
      const number = this.captureNumbers.take();
      if (number < 0) throw new ControlError('conflict', `${MAX_CAPTURES} captures are running`, 'end one first');
      const session = new CaptureSession(this.context, bridge, number, options, () => {
        this.context.captures.delete(number);
        this.captureNumbers.free(number);
      });
      this.context.captures.set(number, session);
      await session.start(port === null ? -1 : port.number);
      return session;
    });
  }

  /** Ends a capture by the number its session has: the reader gets what is left and the summary. */
  async endCapture(number: number): Promise<void> {
    const session = this.context.captures.get(number);
    if (session === undefined) throw new ControlError('not-found', `no capture ${number} is running`);
    await session.end();
  }

  /**
   * Removes everything that was made and puts back what was changed on the host. With a dead engine (`engineFailed`) the kernel's side only.
   */
  close(options: { engineFailed?: boolean } = {}): Promise<void> {
    return this.serial.run(async () => {
      if (this.closing) return;
      this.closing = true;
      this.watch.close();
      const { context } = this;
      for (const session of [...this.context.captures.values()]) await session.end();
      for (const bridge of [...context.bridges.values()].reverse()) {
        if (options.engineFailed === true) await this.drop([bridge.host, ...bridge.ports.values()]);
        else await this.takeDown(bridge).catch((error) => this.cannotUndo(error));
      }
      context.bridges.clear();
      context.ports.clear();
      save(context);
      context.netlink.close();
    });
  }

  private async takeDown(bridge: BridgeRecord): Promise<void> {
    for (const session of [...this.context.captures.values()]) if (session.bridge === bridge.name) await session.end();
    await Promise.all([...bridge.ports.values()].reverse().map((port) => detachPort(this.context, bridge, port)));
    await this.context.engine.call('remove-port', { port: bridge.host.number });
    await closePort(this.context, bridge.host);
    this.context.ports.delete(bridge.host.number);
    this.context.portNumbers.free(bridge.host.number);
    await this.context.engine.call('remove-bridge', { bridge: bridge.number });
    this.context.bridgeNumbers.free(bridge.number);
    this.context.bridges.delete(bridge.name);
  }

  /** Takes ports down whose engine is gone. */
  private async drop(ports: readonly PortRecord[]): Promise<void> {
    const { changes } = this.context;
    await Promise.all(ports.map((port) => closePort(this.context, port)));
    for (const { kind, interface: name, writer } of ports) {
      if (kind === 'packet') changes.release(name as string);
      await writer?.close();
    }
  }

  private change<T>(attempt: (undo: Undo) => Promise<T>): Promise<T> {
    return this.serial.run(async () => {
      if (this.closing) throw new ControlError('failed', 'the daemon is stopping');
      try {
        return await allOrNothing((error) => this.cannotUndo(error), attempt);
      } catch (error) {
        if (!(error instanceof ControlError)) save(this.context);
        throw error;
      }
    });
  }

  private cannotUndo(error: unknown): void {
    this.context.log.error({ reason: reasonOf(error) }, 'cannot undo a step');
  }

  private onEngineEvent(event: Parameters<Parameters<EngineLink['onEvent']>[0]>[0]): void {
    const { log, ports } = this.context;
    if (event.event === 'captured') {
      this.context.captures.get(event.capture)?.arrived();
    } else if (event.event === 'port-failed') {
      this.watch.failed(event.port, event.errno);
    } else if (event.event === 'replay-ended') {
      const found = ports.get(event.port);
      if (found === undefined) return;
      found.port.state = 'ended';
      log.info({ bridge: found.bridge.name, port: found.port.name }, `replay ${found.port.name} is through`);
    } else if (event.event === 'fdb-moved') {
      const name = (number: number) => ports.get(number)?.port.name ?? String(number);
      const fields = {
        mac: macText(event.mac),
        vlan: event.vlan,
        from: name(event.from),
        to: name(event.to),
        times: event.times,
      };
      if (event.times > 5)
        log.warn(fields, `${fields.mac} moves between ports again and again: a loop, or two stations with one address`);
      else log.debug(fields, `${fields.mac} moved`);
    } else if (event.event === 'fdb-full') {
      log.warn(
        { bridge: this.nameOf(event.bridge) },
        'the FDB is full: unknown stations are not learned, their frames are flooded',
      );
    } else {
      const fields = { bridge: this.nameOf(event.bridge), ip: formatIpv4(event.ip), mac: macText(event.claimed) };
      log.warn(fields, `${fields.mac} claims ${fields.ip}, the address of another station`);
    }
  }

  private nameOf(bridge: number): string {
    return [...this.context.bridges.values()].find(({ number }) => number === bridge)?.name ?? String(bridge);
  }

  private async restore(saved: SavedState): Promise<void> {
    const { context } = this;
    context.changes.mend(saved.changes);
    for (const each of saved.bridges) {
      try {
        await this.change((undo) => this.restoreBridge(each, undo));
        context.log.info({ bridge: each.name }, `bridge ${each.name} restored`);
      } catch (error) {
        context.log.warn({ bridge: each.name, reason: reasonOf(error) }, `cannot restore bridge ${each.name}: dropped`);
        continue;
      }
      for (const port of each.ports) await this.restorePort(each.name, port);
      await this.change(() => tables.restoreTables(context, bridgeOf(context, each.name)));
    }
    save(context);
  }

  private async restoreBridge(saved: SavedBridge, undo: Undo): Promise<void> {
    const { subnet, gateway } = saved;
    const request = { ...saved, subnet: subnet ?? undefined, gateway: gateway ?? undefined };
    const bridge = await makeBridge(this.context, request, parseMac(saved.mac), undo);
    bridge.fdb = saved.fdb.map(({ mac, vlan, port }) => ({ mac: parseMac(mac), vlan, port }));
    bridge.neighbors = saved.neighbors.map(({ ip, mac }) => ({ ip: parseIpv4(ip), mac: parseMac(mac) }));
    this.context.bridges.set(bridge.name, bridge);
  }

  private async restorePort(bridgeName: string, saved: SavedPort): Promise<void> {
    const { name, identity, faults, flags, mtu, macLimit } = saved;
    const optional = defined({
      netns: saved.netns,
      pid: saved.pid,
      iface: saved.iface,
      ifname: saved.iface === null ? saved.ifname : null,
      capture: saved.capture,
      replay: saved.replay,
      mac: saved.mac,
      ip: saved.ip,
      faults,
    });
    const request = { port: name, flags, mtu, macLimit, ...optional } as AttachPort;
    try {
      await this.change((undo) => attachPort(this.context, bridgeOf(this.context, bridgeName), request, identity, undo));
      this.context.log.info({ bridge: bridgeName, port: name }, `port ${name} restored`);
    } catch (error) {
      this.context.log.warn({ bridge: bridgeName, port: name, reason: reasonOf(error) }, `cannot restore port ${name}: dropped`);
    }
  }
}

function identityOfHere(binding: Binding): string {
  const here = Netns.current(binding);
  here.close();
  return here.identity;
}
