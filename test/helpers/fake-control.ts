/** Flows and a control that only has what the routes of the gateway ask for: one bridge, tb0. */
import type { Control } from '../../src/control/control.js';
import { ControlError } from '../../src/control/control-error.js';
import type {
  AddPublish,
  BridgeInfo,
  ChangeBridge,
  CountersInfo,
  CreateBridge,
  FlowEvent,
  FlowInfo,
  FlowQuery,
  GatewayInfo,
  PublishInfo,
  RemovePublish,
  UplinkInfo,
} from '../../src/control/model.js';
import {
  BRIDGE_COUNTERS,
  DROP_REASONS,
  GATEWAY_COUNTERS,
  type GatewayCounter,
  INTERFACE_DROP_REASONS,
} from '../../src/core/counters.js';

export function madeFlow(number: number): FlowInfo {
  const sourcePort = 1024 + (number % 60_000);
  const inner = { source: '10.1.0.2', destination: '192.0.2.1', sourcePort, destinationPort: 443 };
  return {
    protocol: 'tcp',
    state: 'established',
    assured: true,
    original: inner,
    reply: { source: '192.0.2.1', destination: '198.51.100.7', sourcePort: 443, destinationPort: sourcePort },
    bridge: 'tb0',
    port: 'web',
    timeout: 7440,
    age: 12,
    packets: { original: 3, reply: 2 },
    bytes: { original: 300, reply: 200 },
  };
}

const PAGE = 4096;

function counts<Name extends string>(names: readonly Name[], counted: Partial<Record<Name, number>> = {}): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, counted[name] ?? 0])) as Record<Name, number>;
}

/** What was asked of it, for tests to look at. */
export class FakeControl {
  flows = 0;
  /** Pages made so far. */
  pages = 0;
  /** The list breaks off behind so many pages. */
  failAfter = Number.POSITIVE_INFINITY;
  /** Generators that were ended, by their end or by the reader's. */
  ended = 0;
  queries: FlowQuery[] = [];
  removed: RemovePublish[] = [];
  published: AddPublish[] = [];
  publishes: PublishInfo[] = [];
  bridge: BridgeInfo = {
    name: 'tb0',
    mtu: 1500,
    subnet: '10.1.0.0/24',
    gateway: '10.1.0.1',
    mac: '02:00:00:00:00:01',
    ageingSeconds: 300,
    fdbLimit: 65_536,
    arpProxy: true,
    groupForwardMask: 0,
    ports: 0,
    uplink: 'auto',
    internal: false,
    icc: true,
    egressAddress: null,
    mssClamp: 'auto',
    rules: [],
    network: null,
  };
  created: CreateBridge[] = [];
  counted: Partial<Record<GatewayCounter, number>> = {};
  /** Of the running watch. */
  emit: ((events: FlowEvent[]) => void) | undefined;
  watches = 0;

  asControl(): Control {
    return this as unknown as Control;
  }

  async *listFlows(bridge: string, query: FlowQuery): AsyncGenerator<FlowInfo[]> {
    this.refuseOthers(bridge);
    this.queries.push(query);
    try {
      for (let from = 0; from < this.flows; from += PAGE) {
        if (this.pages >= this.failAfter) throw new Error('the engine died');
        this.pages++;
        yield Array.from({ length: Math.min(PAGE, this.flows - from) }, (_, index) => madeFlow(from + index));
        // An empty page: nothing matched there.
        yield [];
      }
    } finally {
      this.ended++;
    }
  }

  listBridges(): BridgeInfo[] {
    return [this.bridge];
  }

  async createBridge(request: CreateBridge): Promise<BridgeInfo> {
    this.created.push(request);
    return this.bridge;
  }

  getBridge(bridge: string): BridgeInfo {
    this.refuseOthers(bridge);
    return this.bridge;
  }

  async changeBridge(bridge: string, change: ChangeBridge): Promise<BridgeInfo> {
    this.refuseOthers(bridge);
    this.bridge = { ...this.bridge, ...(change as Partial<BridgeInfo>) };
    return this.bridge;
  }

  listPorts(): never[] {
    return [];
  }

  async listFdb(): Promise<never[]> {
    return [];
  }

  async listNeighbors(): Promise<never[]> {
    return [];
  }

  counters(): CountersInfo {
    const drops = counts([...Object.keys(DROP_REASONS), ...Object.keys(INTERFACE_DROP_REASONS)]) as CountersInfo['drops'];
    return { bridge: counts(BRIDGE_COUNTERS), ports: [], gateway: counts(GATEWAY_COUNTERS, this.counted), drops };
  }

  listUplinks(): UplinkInfo[] {
    const eth0 = { interface: 'eth0', mac: '02:00:00:00:00:02', mtu: 1400, addresses: ['198.51.100.7', '198.51.100.8'] };
    return [{ ...eth0, state: 'up', guard: 'ebpf', bridges: ['tb0'], counters: counts(GATEWAY_COUNTERS, this.counted) }];
  }

  async gatewayInfo(): Promise<GatewayInfo> {
    const pools = [{ address: '198.51.100.7', protocol: 'tcp', used: 8192, size: 16_384 }];
    return { filter: 'apdf', flows: 1000, flowLimit: 262_144, mappings: 10, mappingLimit: 65_536, pools, timeouts: { icmp: 60 } };
  }

  listPublishes(bridge: string): PublishInfo[] {
    this.refuseOthers(bridge);
    return this.publishes;
  }

  async flushFlows(bridge: string, query: FlowQuery): Promise<number> {
    this.refuseOthers(bridge);
    this.queries.push(query);
    return this.flows;
  }

  watchFlows(bridge: string, query: FlowQuery, onEvents: (events: FlowEvent[]) => void): { close(): void } {
    this.refuseOthers(bridge);
    this.queries.push(query);
    this.watches++;
    this.emit = onEvents;
    return { close: () => void this.watches-- };
  }

  async publish(bridge: string, request: AddPublish): Promise<PublishInfo> {
    this.refuseOthers(bridge);
    this.published.push(request);
    const { protocol = 'tcp', hostAddress = null, hostPort, hostPortEnd = hostPort, port, portName } = request;
    const made = {
      bridge,
      protocol,
      hostAddress,
      hostPort,
      hostPortEnd,
      port,
      portName,
      container: null,
      address: '10.1.0.2',
      listening: true,
    };
    this.publishes.push(made);
    return made;
  }

  async unpublish(bridge: string, request: RemovePublish): Promise<void> {
    this.refuseOthers(bridge);
    this.removed.push(request);
  }

  private refuseOthers(bridge: string): void {
    if (bridge !== 'tb0') throw new ControlError('not-found', `no such bridge: ${bridge}`);
  }
}
