/**
 * The model behind every API call: bridges and their ports, made, changed, shown and removed.
 *
 *     HTTP, Docker, CNI, demo ─▶ Control ─┬─▶ netlink, addon     interfaces, namespaces
 *                                         ├─▶ engine             bridges and ports by number
 *                                         └─▶ state directory    what to restore after a crash
 *
 * Invariants: changes happen one after the other; a change happens wholly or not at all (undo.ts); what is made here is removed by `close`, what
 * is changed on the host is put back, what was there before stays. The record on disk says after each change what there is.
 * With a record on disk the interfaces of containers and the host outlive the process (persistent TAPs): after a crash `start` opens them again where they
 * are (restore.ts), under the same names, numbers and addresses, and makes anew or drops the rest. `close` can leave them, too.
 * Limits: 256 bridges; ports as the engine was started with (1,024), host ports among them.
 */
import { isAbsolute } from 'node:path';
import { DEFAULT_MAX_PORTS, type FlowFilter, MAX_BRIDGES } from '../engine/protocol.js';
import type { Binding } from '../native/binding.js';
import { Netlink } from '../netlink/netlink.js';
import { Netns } from '../netlink/netns.js';
import { attachPort, checkFaults, detachPort, keepInterface, placePort, setPortMtu } from './attach.js';
import { changeBridge, joinBridge, makeBridge } from './bridges.js';
import { CaptureSession } from './capture-session.js';
import { bridgeOf, type ControlContext, portOf, save } from './context.js';
import { ControlError } from './control-error.js';
import { defined } from './defined.js';
import { onEngineEvent } from './engine-events.js';
import type { EngineLink } from './engine-link.js';
import { checkState, flowFilter, flushFlows, listFlows } from './flows.js';
import { Gateway } from './gateway.js';
import { checkHealth } from './health.js';
import { HostChanges } from './host-changes.js';
import { newInstance } from './interface-alias.js';
import { lookAtInterfaces } from './interface-status.js';
import { checkRange, MAC_LIMIT, SNAP_LENGTH } from './limits.js';
import { type Log, reasonOf, SILENT } from './log.js';
import type {
  AddFdb,
  AddNeighbor,
  AddPublish,
  AttachPort,
  BridgeInfo,
  CaptureOptions,
  ChangeBridge,
  ChangePort,
  ContainerInfo,
  CountersInfo,
  CreateBridge,
  FdbInfo,
  FlowEvent,
  FlowInfo,
  FlowQuery,
  GatewayInfo,
  HealthCheck,
  NeighborInfo,
  NetworkInfo,
  PortInfo,
  PublishInfo,
  RemovePublish,
  UplinkInfo,
} from './model.js';
import { NamespaceWatch } from './namespace-watch.js';
import { checkNatOptions, DEFAULT_NAT_OPTIONS, type NatOptions } from './nat-options.js';
import { Numbers } from './numbers.js';
import { PortWatch } from './port-watch.js';
import { publishInfo, publishText } from './publishes.js';
import { changedRates } from './rates.js';
import { bridgeInfo, portFlags, portInfo } from './records.js';
import { restore } from './restore.js';
import { addressOf } from './routing.js';
import { Serial } from './serial.js';
import type { StateStore } from './state-store.js';
import * as tables from './tables.js';
import { drop, leave, takeDown } from './take-down.js';
import { type Telemetry, TelemetryReader } from './telemetry.js';
import { allOrNothing, type Undo } from './undo.js';
import { Workshop } from './workshop.js';

const MAX_CAPTURES = 16;
const NO_FAULTS = { seed: 1, loss: 0, duplicate: 0, reorder: 0, corrupt: 0, delayMicros: 0, jitterMicros: 0 };

export interface ControlOptions {
  binding: Binding;
  engine: EngineLink;
  log?: Log;
  /** Absent: nothing is kept on disk. */
  store?: StateStore | null;
  /** Where the flows of the gateway outlive the daemon (flow-file.ts); absent: nowhere. */
  flowFile?: string | null;
  /** What the engine was started with. */
  maxPorts?: number;
  /** Those absent are `DEFAULT_NAT_OPTIONS`. */
  nat?: Partial<NatOptions>;
}

export class Control {
  private readonly context: ControlContext;
  private readonly serial = new Serial();
  private readonly watch: PortWatch;
  private readonly namespaces: NamespaceWatch;
  private readonly telemetryReader: TelemetryReader;
  private readonly captureNumbers = new Numbers(MAX_CAPTURES);
  private closing = false;

  private constructor(options: ControlOptions) {
    const { binding, engine, log = SILENT, store = null, maxPorts = DEFAULT_MAX_PORTS } = options;
    const netlink = Netlink.open(binding);
    const instance = store?.instance ?? newInstance();
    this.context = {
      binding,
      engine,
      log,
      netlink,
      here: identityOfHere(binding),
      workshop: new Workshop(binding),
      changes: new HostChanges(netlink, log, instance),
      store,
      instance,
      restoring: null,
      bridgeNumbers: new Numbers(MAX_BRIDGES),
      portNumbers: new Numbers(maxPorts),
      bridges: new Map(),
      captures: new Map(),
      ports: new Map(),
      gateway: undefined as never,
    };
    const nat = { ...DEFAULT_NAT_OPTIONS, ...options.nat };
    checkNatOptions(nat);
    this.context.gateway = new Gateway(this.context, this.serial, nat, options.flowFile ?? null);
    this.watch = new PortWatch(this.context, this.serial);
    this.namespaces = new NamespaceWatch(this.context, this.serial);
    this.telemetryReader = new TelemetryReader(this.context);
    engine.onEvent((event) => onEngineEvent(this.context, this.watch, event));
  }

  /** Puts back and restores what a crashed daemon left in the store. */
  static async start(options: ControlOptions): Promise<Control> {
    const control = new Control(options);
    if (options.store) {
      const saved = options.store.load(control.context.log);
      const { gateway } = control.context;
      const onFailed = (port: number, errno: number) => {
        if (!gateway.failed(port, errno)) control.watch.failed(port, errno);
      };
      try {
        await restore(control.context, (attempt) => control.change(attempt), saved, onFailed);
      } catch (error) {
        // What was taken over so far is let go again: its listeners would keep this process alive, and its descriptors the next daemon from all of it.
        await control.close({ keep: true }).catch((reason) => control.cannotUndo(reason));
        throw error;
      }
      control.namespaces.start();
    }
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
      await joinBridge(this.context, bridge, true, undo);
      save(this.context);
      keepInterface(this.context, bridge.host);
      this.context.log.info({ bridge: bridge.name, subnet: request.subnet }, `bridge ${bridge.name} created`);
      return bridgeInfo(bridge);
    });
  }

  changeBridge(name: string, request: ChangeBridge): Promise<BridgeInfo> {
    return this.change(async (undo) => {
      const bridge = bridgeOf(this.context, name);
      await changeBridge(this.context, bridge, request, undo);
      save(this.context);
      return bridgeInfo(bridge);
    });
  }

  removeBridge(name: string): Promise<void> {
    return this.change(async () => {
      await takeDown(this.context, bridgeOf(this.context, name));
      await this.context.gateway.update();
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
      const rates = changedRates(port.rates, request.rates ?? {});
      const egressAddress = request.egressAddress === undefined ? port.egressAddress : addressOf(request.egressAddress);
      if (request.egressAddress !== undefined) this.context.gateway.checkPortEgress(bridge, port, egressAddress);
      if (request.mtu !== undefined) setPortMtu(this.context, bridge, port, request.mtu);
      await this.context.engine.call('set-port', {
        port: port.number,
        flags: portFlags(bridge, { ...port, flags: { ...port.flags, ...flags } }),
        ...(request.mtu !== undefined && { mtu: request.mtu }),
        ...(request.macLimit !== undefined && { macLimit: request.macLimit }),
        ...(request.faults !== undefined && { faults }),
        ...(request.rates !== undefined && { rates }),
      });
      Object.assign(port.flags, flags);
      if (egressAddress !== port.egressAddress) {
        port.egressAddress = egressAddress;
        await this.context.gateway.sendEgress(port);
      }
      port.mtu = request.mtu ?? port.mtu;
      port.macLimit = request.macLimit ?? port.macLimit;
      port.faults = faults;
      port.rates = rates;
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

  /**
   * Where an engine has moved, or is about to move, an interface that was lent to it (a sandbox's path); null: it is back, or about to come back.
   * @throws ControlError for a port that is not lent, a path that is not absolute
   */
  place(bridgeName: string, portName: string, sandbox: string | null): Promise<void> {
    return this.change(async () => {
      const port = portOf(bridgeOf(this.context, bridgeName), portName);
      if (!port.lent) throw new ControlError('invalid', `port ${portName} is not lent: its interface stays where it is`);
      if (sandbox !== null && (!isAbsolute(sandbox) || sandbox.includes('\0'))) {
        throw new ControlError('invalid', `${JSON.stringify(sandbox)} is no absolute path of a namespace`);
      }
      placePort(this.context, port, sandbox);
      save(this.context);
    });
  }

  /** Who is behind a port, learned later. */
  setContainer(bridgeName: string, portName: string, container: ContainerInfo | null): Promise<void> {
    return this.change(async () => {
      const port = portOf(bridgeOf(this.context, bridgeName), portName);
      port.container = container === null ? null : { ...container };
      save(this.context);
    });
  }

  /** What an engine calls a bridge, learned later. */
  setNetwork(bridgeName: string, network: NetworkInfo | null): Promise<void> {
    return this.change(async () => {
      bridgeOf(this.context, bridgeName).network = network === null ? null : { ...network };
      save(this.context);
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

  /** Opens ports of the host to a container. All of them, or none and an error that says who has the first that is taken. */
  publish(bridgeName: string, request: AddPublish): Promise<PublishInfo> {
    return this.change(async (undo) => {
      const bridge = bridgeOf(this.context, bridgeName);
      const publish = await this.context.gateway.publishes.add(bridge, request, false, undo);
      save(this.context);
      const info = publishInfo(bridge, publish);
      this.context.log.info({ bridge: bridgeName, port: request.portName }, `published ${publishText(publish)}`);
      return info;
    });
  }

  /** Its flows end with it. */
  unpublish(bridgeName: string, request: RemovePublish): Promise<void> {
    return this.change(async () => {
      const bridge = bridgeOf(this.context, bridgeName);
      const publish = await this.context.gateway.publishes.remove(bridge, request);
      save(this.context);
      this.context.log.info({ bridge: bridgeName, port: publish.port.name }, `unpublished ${publishText(publish)}`);
    });
  }

  /** Of one bridge, or of all. */
  listPublishes(bridge?: string): PublishInfo[] {
    return this.context.gateway.publishes.list(bridge);
  }

  /** Page by page: there may be hundreds of thousands. @throws ControlError at once, not when the first page is asked for */
  listFlows(bridge: string, query: FlowQuery = {}): AsyncGenerator<FlowInfo[]> {
    return listFlows(this.context, this.flowFilter(bridge, query));
  }

  /** Ends flows. @returns how many */
  async flushFlows(bridge: string, query: FlowQuery = {}): Promise<number> {
    return flushFlows(this.context, this.flowFilter(bridge, query));
  }

  /** Tells of flows that begin, change and end, until it is closed. */
  watchFlows(bridge: string, query: FlowQuery, onEvents: (events: FlowEvent[]) => void): { close(): void } {
    return this.context.gateway.flowWatch.add(this.flowFilter(bridge, query), onEvents);
  }

  listUplinks(): UplinkInfo[] {
    return this.context.gateway.listUplinks();
  }

  gatewayInfo(): Promise<GatewayInfo> {
    return this.context.gateway.info();
  }

  /** What there is to measure. */
  telemetry(): Promise<Telemetry> {
    return this.telemetryReader.read();
  }

  health(): Promise<HealthCheck[]> {
    return checkHealth(this.context, this.telemetryReader);
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
   * Removes everything that was made and puts back what was changed on the host. With a dead engine the kernel's side only.
   * With `keep`, and where there is a record, all of it stays for the next daemon instead, which goes on with it.
   */
  close(options: { keep?: boolean } = {}): Promise<void> {
    return this.serial.run(async () => {
      if (this.closing) return;
      this.closing = true;
      this.watch.close();
      this.namespaces.close();
      const { context } = this;
      const isDead = () => context.engine.alive === false;
      const keep = options.keep === true && context.store !== null;
      for (const session of [...this.context.captures.values()]) await session.end();
      // A start that failed leaves the record as it found it.
      if (keep && context.restoring === null) save(context);
      if (keep && !isDead()) await context.gateway.leave().catch((error) => this.cannotUndo(error));
      for (const bridge of [...context.bridges.values()].reverse()) {
        const end = keep ? leave(context, bridge, isDead()) : isDead() ? drop(context, bridge) : takeDown(context, bridge);
        await end.catch(async (error) => {
          this.cannotUndo(error);
          // An engine that dies meanwhile leaves interfaces which no record names any more.
          if (!keep) await drop(context, bridge).catch((reason) => this.cannotUndo(reason));
        });
      }
      await context.gateway.close(isDead(), keep).catch((error) => this.cannotUndo(error));
      context.workshop.close();
      if (keep) {
        context.netlink.close();
        return;
      }
      context.bridges.clear();
      context.ports.clear();
      save(context);
      context.netlink.close();
    });
  }

  private flowFilter(bridge: string, query: FlowQuery): FlowFilter {
    checkState(query.state);
    return flowFilter(bridgeOf(this.context, bridge), query);
  }

  private change<T>(attempt: (undo: Undo) => Promise<T>): Promise<T> {
    return this.serial.run(async () => {
      if (this.closing) throw new ControlError('failed', 'the daemon is stopping');
      try {
        return await allOrNothing((error) => this.cannotUndo(error), attempt);
      } catch (error) {
        // What was noted of the host meanwhile. A record that is being restored says what it said, unless the kernel refused something.
        if (!(error instanceof ControlError) || this.context.restoring === null) save(this.context);
        throw error;
      }
    });
  }

  private cannotUndo(error: unknown): void {
    this.context.log.error({ reason: reasonOf(error) }, 'cannot undo a step');
  }
}

function identityOfHere(binding: Binding): string {
  const here = Netns.current(binding);
  here.close();
  return here.identity;
}
