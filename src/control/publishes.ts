/** Ports of the host that lead to a container: asked for, reserved on the host, told to the engine, remembered. */
import { MAX_PUBLISHES } from '../nat/publish-table.js';
import { formatIpv4, isLoopbackIpv4, parseIpv4 } from '../wire/ipv4-address.js';
import { bridgeOf, type ControlContext, portOf, withName } from './context.js';
import { ControlError, orRefuse } from './control-error.js';
import { HostListener } from './host-listener.js';
import { checkRange } from './limits.js';
import { reasonOf } from './log.js';
import type { AddPublish, PublishInfo, RemovePublish } from './model.js';
import { Numbers } from './numbers.js';
import type { BridgeRecord, PortRecord, PublishRecord } from './records.js';
import { addressOf, addressText, goesOut } from './routing.js';
import { takeRuntimeSockets } from './runtime-sockets.js';
import type { SavedPublish } from './state-store.js';
import type { Undo } from './undo.js';

const PORT = { min: 1, max: 65_535 } as const;
/** Ports in all publishes together: each has a socket of the host. */
const MAX_PORTS = 65_535;
/** Looks for the socket of a runtime, 2 s apart: a runtime that made none until then reserves no ports, and the daemon does. */
const RUNTIME_LOOKS = 15;

export class Publishes {
  private readonly context: ControlContext;
  private readonly numbers = new Numbers(MAX_PUBLISHES);

  constructor(context: ControlContext) {
    this.context = context;
  }

  list(bridge: string | undefined): PublishInfo[] {
    const { bridges } = this.context;
    const asked = bridge === undefined ? [...bridges.values()] : [bridgeOf(this.context, bridge)];
    return asked.flatMap((each) => each.publishes.map((publish) => publishInfo(each, publish)));
  }

  /**
   * The caller writes the record.
   * @param restoring a port of the host that is taken meanwhile is a warning then, and the publish stays without a listener
   * @throws ControlError
   */
  async add(bridge: BridgeRecord, request: AddPublish, restoring: boolean, undo: Undo): Promise<PublishRecord> {
    const publish = this.check(bridge, request);
    // The first step is undone last: by then the publish is forgotten.
    undo.add(() => this.context.gateway.sendRules());
    publish.id = this.numbers.take();
    if (publish.id < 0)
      throw new ControlError('conflict', `there are ${MAX_PUBLISHES} publishes`, 'publish ports in a row as one range');
    undo.add(() => this.numbers.free(publish.id));
    try {
      publish.listener = await this.listen(publish);
    } catch (error) {
      if (!restoring) throw error;
      const what = `publish ${publishText(publish)} has no listener: the host itself does not reach it`;
      this.context.log.warn({ bridge: bridge.name, reason: reasonOf(error) }, what);
    }
    undo.add(() => publish.listener?.close());
    await this.tell(bridge, publish);
    undo.add(async () => void (await this.context.engine.call('remove-publish', { id: publish.id })));
    bridge.publishes.push(publish);
    undo.add(() => forget(bridge, publish));
    this.context.gateway.sendRules();
    return publish;
  }

  /** The caller writes the record. @throws ControlError not-found, with those there are; conflict when the request may mean several */
  async remove(bridge: BridgeRecord, request: RemovePublish): Promise<PublishRecord> {
    const { protocol = 'tcp', hostPort, hostPortEnd } = request;
    const address = request.hostAddress === undefined ? undefined : hostAddressOf(request.hostAddress);
    const found = bridge.publishes.filter(
      (each) =>
        each.protocol === protocol &&
        each.hostPort === hostPort &&
        (hostPortEnd === undefined || each.hostPort + each.count - 1 === hostPortEnd) &&
        (address === undefined || each.hostAddress === address),
    );
    if (found.length === 0) {
      const there = bridge.publishes.slice(0, 10).map(publishText).join(', ');
      const range = hostPortEnd === undefined || hostPortEnd === hostPort ? hostPort : `${hostPort}-${hostPortEnd}`;
      const what = `bridge ${bridge.name} publishes no port ${range}/${protocol}`;
      throw new ControlError('not-found', what, there === '' ? 'it publishes nothing' : `there are: ${there}`);
    }
    if (found.length > 1) {
      const what = `several publishes have the host port ${hostPort}/${protocol}: ${found.map(publishText).join(', ')}`;
      throw new ControlError('conflict', what, 'say the address, too');
    }
    await this.end(bridge, found[0]);
    return found[0];
  }

  /** Ends all that lead to a port, which goes. */
  async endOf(bridge: BridgeRecord, port: PortRecord): Promise<void> {
    for (const publish of bridge.publishes.filter((each) => each.port === port)) await this.end(bridge, publish);
  }

  /** Closes the listeners when the engine is gone. */
  drop(): void {
    for (const bridge of this.context.bridges.values()) for (const { listener } of bridge.publishes) listener?.close();
  }

  /** Tells the engine again: the port was removed and added meanwhile, and its publishes ended with it. */
  async tellAgain(bridge: BridgeRecord, port: PortRecord): Promise<void> {
    for (const publish of bridge.publishes.filter((each) => each.port === port)) {
      await this.context.engine.call('remove-publish', { id: publish.id }).catch(() => {});
      await this.tell(bridge, publish);
    }
  }

  /** Opens the listeners that could not be opened before. */
  async listenAgain(): Promise<void> {
    for (const bridge of this.context.bridges.values()) {
      for (const publish of bridge.publishes) {
        if (publish.listener !== null) continue;
        publish.listener = await this.listen(publish).catch(() => null);
        if (publish.listener === null) continue;
        this.context.log.info({ bridge: bridge.name }, `publish ${publishText(publish)} has its listener`);
      }
    }
  }

  /** null while the runtime's socket is not there. @throws ControlError */
  private async listen(publish: PublishRecord): Promise<HostListener | null> {
    const spec = listenerSpec(publish);
    if (publish.reservation === 'runtime' && publish.looks++ < RUNTIME_LOOKS) {
      const sockets = takeRuntimeSockets(this.context.binding, spec);
      return sockets === null ? null : HostListener.adopt(spec, sockets);
    }
    return HostListener.open(spec);
  }

  private check(bridge: BridgeRecord, request: AddPublish): PublishRecord {
    const { protocol = 'tcp', hostPort, hostPortEnd = hostPort, port: innerPort } = request;
    checkRange('the host port', hostPort, PORT);
    checkRange('the last host port', hostPortEnd, PORT);
    checkRange("the container's port", innerPort, PORT);
    const count = hostPortEnd - hostPort + 1;
    if (count < 1) throw new ControlError('invalid', `the range ${hostPort}-${hostPortEnd} ends before it begins`);
    if (innerPort + count - 1 > PORT.max) {
      throw new ControlError('invalid', `${count} ports from ${innerPort} on go beyond ${PORT.max}`, 'choose a lower one');
    }
    if (!goesOut(bridge)) {
      const why = bridge.routing.internal ? 'is internal' : 'has no uplink';
      const hint = bridge.pool === null ? 'make it with --subnet' : `tapbridge set ${bridge.name} internal=off uplink=auto`;
      throw new ControlError('conflict', `bridge ${bridge.name} ${why}: nothing from outside gets there`, hint);
    }
    const port = portOf(bridge, request.portName);
    if (port === bridge.host) {
      throw new ControlError('invalid', `${port.name} is the host port: the host's ports are its own`, 'name a container');
    }
    if (port.ip === null) {
      throw new ControlError('invalid', `port ${port.name} has no address to publish`, 'attach it with --ip');
    }
    const hostAddress = hostAddressOf(request.hostAddress ?? null);
    const { reservation = 'daemon' } = request;
    const publish = { id: -1, protocol, hostAddress, hostPort, count, port, innerPort, reservation, looks: 0, listener: null };
    this.refuseTaken(publish);
    return publish;
  }

  private refuseTaken(publish: PublishRecord): void {
    let ports = publish.count;
    for (const bridge of this.context.bridges.values()) {
      for (const other of bridge.publishes) {
        ports += other.count;
        if (!overlaps(publish, other)) continue;
        const whose = `bridge ${withName(bridge.name, bridge.network)}, port ${withName(other.port.name, other.port.container)}`;
        const what = `${publishText(publish)} is taken by publish ${publishText(other)} of ${whose}`;
        throw new ControlError('conflict', what, 'choose another host port, or unpublish that one');
      }
    }
    if (ports > MAX_PORTS) throw new ControlError('conflict', `more than ${MAX_PORTS} ports would be published`, 'publish fewer');
  }

  private async tell(bridge: BridgeRecord, publish: PublishRecord): Promise<void> {
    const { id, protocol, hostAddress, hostPort, count, port, innerPort } = publish;
    const address = (port.ip as NonNullable<PortRecord['ip']>).address;
    const settings = { id, bridge: bridge.number, protocol, hostAddress, hostPort, count, address, port: innerPort };
    await this.context.engine.call('add-publish', { settings: { ...settings, owner: port.number } });
  }

  private async end(bridge: BridgeRecord, publish: PublishRecord): Promise<void> {
    publish.listener?.close();
    forget(bridge, publish);
    await this.context.engine.call('remove-publish', { id: publish.id });
    this.numbers.free(publish.id);
    this.context.gateway.sendRules();
  }
}

/** Of the host, int32; 0 for null. The loopback counts: published there, a port is for the host alone. @throws ControlError */
function hostAddressOf(text: string | null): number {
  const address = text === null ? 0 : orRefuse('invalid', () => parseIpv4(text));
  return isLoopbackIpv4(address) ? address : addressOf(text);
}

export function publishInfo(bridge: BridgeRecord, publish: PublishRecord): PublishInfo {
  const { protocol, hostAddress, hostPort, count, port, innerPort, listener } = publish;
  return {
    protocol,
    hostAddress: addressText(hostAddress),
    hostPort,
    hostPortEnd: hostPort + count - 1,
    port: innerPort,
    bridge: bridge.name,
    portName: port.name,
    container: port.container === null ? null : { ...port.container },
    address: port.ip === null ? '' : formatIpv4(port.ip.address),
    listening: listener !== null,
  };
}

export function savedPublish({
  protocol,
  hostAddress,
  hostPort,
  count,
  port,
  innerPort,
  reservation,
}: PublishRecord): SavedPublish {
  const hostPortEnd = hostPort + count - 1;
  return {
    protocol,
    hostAddress: addressText(hostAddress),
    hostPort,
    hostPortEnd,
    port: innerPort,
    portName: port.name,
    reservation,
  };
}

/** '192.168.1.2:8000-8009/tcp'. */
export function publishText({ protocol, hostAddress, hostPort, count }: PublishRecord): string {
  const address = hostAddress === 0 ? '' : `${formatIpv4(hostAddress)}:`;
  return `${address}${hostPort}${count === 1 ? '' : `-${hostPort + count - 1}`}/${protocol}`;
}

function listenerSpec({ protocol, hostAddress, hostPort, count, port, innerPort }: PublishRecord) {
  const address = (port.ip as NonNullable<PortRecord['ip']>).address;
  return { protocol, hostAddress, hostPort, count, address, port: innerPort };
}

function overlaps(a: PublishRecord, b: PublishRecord): boolean {
  return (
    a.protocol === b.protocol &&
    (a.hostAddress === 0 || b.hostAddress === 0 || a.hostAddress === b.hostAddress) &&
    a.hostPort < b.hostPort + b.count &&
    b.hostPort < a.hostPort + a.count
  );
}

function forget(bridge: BridgeRecord, publish: PublishRecord): void {
  bridge.publishes = bridge.publishes.filter((each) => each !== publish);
}
