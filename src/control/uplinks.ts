/**
 * Uplinks: the interfaces of the host the gateway sends through, opened, followed and closed as bridges and the host's tables ask for it.
 *
 *     wanted (names, by bridge) ─┐
 *     the host's network ────────┼─▶ follow ─▶ add-uplink · set-uplink · remove-uplink
 *     port-failed of the engine ─┘
 *
 *     absent ──▶ open, up ◀──▶ open, down ──▶ absent        deleted (or replaced by another of its name), not wanted any more
 *
 * Invariants: an uplink is open while a bridge wants it and the host has it; its interface is no port of a bridge. One that cannot be opened is
 * tried again at each change of the network and every 2 s; the reason is logged once. An uplink that was down is removed and added
 * again: the engine gives up on a socket whose interface went down, and its flows ended with that. One that the engine refuses to change is closed and
 * opened anew: what the engine has of it is not known any more.
 * Numbers are recorded and come back with the interface after a crash, because flows on disk refer to them. An uplink that an earlier daemon left guarded
 * keeps that guard until all of the record is there: only then the new map has all flows and publishes, and nothing of them reaches the host's stack.
 * Limit: 16.
 */
import { MAX_BRIDGES, MAX_UPLINKS, type UplinkSettings } from '../engine/protocol.js';
import type { Descriptor } from '../native/binding.js';
import type { Link } from '../netlink/link.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import { type MacAddress, parseMac } from '../wire/mac-address.js';
import { type ControlContext, portAt } from './context.js';
import type { UplinkGuard } from './guard.js';
import { openInterface } from './interface-port.js';
import { reasonOf } from './log.js';
import type { UplinkInfo } from './model.js';
import { interfaceAddresses, isEthernet, isUsable, type Network } from './network.js';
import { Numbers } from './numbers.js';
import { macText, sameMac } from './records.js';
import type { SavedUplink } from './state-store.js';

export interface Uplink {
  /** The engine's. */
  number: number;
  /** Port number of its socket. */
  port: number;
  name: string;
  index: number;
  mac: MacAddress;
  mtu: number;
  /** int32; the first one is what MASQUERADE translates to. */
  addresses: number[];
  up: boolean;
  descriptor: Descriptor;
  vnetHeader: boolean;
  udpSegmentation: boolean;
  /** The engine gave up on its socket. */
  failed: boolean;
  guard: UplinkInfo['guard'];
}

export class Uplinks {
  private readonly context: ControlContext;
  private readonly guard: () => UplinkGuard;
  private readonly numbers = new Numbers(MAX_UPLINKS);
  private readonly open = new Map<string, Uplink>();
  /** Of the record, by name of the interface: kept for them until `restored`. */
  private readonly recorded = new Map<string, number>();
  /** Those whose guard is still that of an earlier daemon. */
  private readonly inherited = new Set<Uplink>();
  /** Why those that are wanted are not open. */
  private readonly problems = new Map<string, string>();

  /** @param guard the one of the open gateway */
  constructor(context: ControlContext, guard: () => UplinkGuard) {
    this.context = context;
    this.guard = guard;
  }

  get size(): number {
    return this.open.size;
  }

  /** Keeps the numbers of the record for their interfaces. */
  restore(saved: readonly SavedUplink[]): void {
    for (const { interface: name, number } of saved) {
      if (this.numbers.reserve(number)) this.recorded.set(name, number);
    }
  }

  /** All of the record is made again: guards of our own take the place of inherited ones, and what did not come back has no number any more. */
  async restored(): Promise<void> {
    for (const uplink of this.inherited) await this.replaceGuard(uplink);
    for (const number of this.recorded.values()) this.numbers.free(number);
    this.recorded.clear();
  }

  /** For the record. */
  saved(): SavedUplink[] {
    const open = [...this.open.values()].map(({ name, number }) => [name, number] as const);
    return [...this.recorded, ...open].map(([name, number]) => ({ interface: name, number }));
  }

  /** Some that are wanted and there could not be opened. */
  get incomplete(): boolean {
    return this.problems.size > 0;
  }

  values(): Iterable<Uplink> {
    return this.open.values();
  }

  find(name: string): Uplink | undefined {
    return this.open.get(name);
  }

  atIndex(index: number): Uplink | undefined {
    return [...this.open.values()].find((uplink) => uplink.index === index);
  }

  atPort(port: number): Uplink | undefined {
    return [...this.open.values()].find((uplink) => uplink.port === port);
  }

  /** Why an interface that is wanted is not open; undefined: the host does not have it, or it is open. */
  problemOf(name: string): string | undefined {
    return this.problems.get(name);
  }

  /** The engine's numbers by index of the interface. */
  numbersByIndex(): Map<number, number> {
    return new Map([...this.open.values()].map(({ index, number }) => [index, number]));
  }

  /** Brings what is open in line with what is wanted and what there is. Never throws for one that cannot be opened or changed. */
  async follow(network: Network, wanted: ReadonlySet<string>): Promise<void> {
    for (const name of this.problems.keys()) if (!wanted.has(name)) this.problems.delete(name);
    for (const uplink of [...this.open.values()]) {
      const link = network.links.find(({ index }) => index === uplink.index);
      if (!wanted.has(uplink.name) || link === undefined || link.name !== uplink.name) {
        await this.close(uplink);
        const why = wanted.has(uplink.name) ? 'its interface is gone' : 'no bridge needs it';
        this.context.log.info({ uplink: uplink.name }, `uplink ${uplink.name} closed: ${why}`);
      } else {
        await this.tryToChange(uplink, link, network);
      }
    }
    for (const name of wanted) {
      const link = network.links.find((each) => each.name === name);
      if (link === undefined) this.problems.delete(name);
      else if (!this.open.has(name)) await this.tryToOpen(link, network);
    }
  }

  async closeAll(): Promise<void> {
    for (const uplink of [...this.open.values()]) await this.close(uplink);
  }

  /** What the kernel holds of ours, when the engine is gone. */
  drop(): void {
    for (const uplink of this.open.values()) {
      this.guard().release(uplink.name);
      this.context.binding.closeDescriptor(uplink.descriptor);
    }
    this.open.clear();
  }

  /** Closes the sockets; the guards stay, so that the host does not reset connections that go on soon. */
  leave(): void {
    for (const { descriptor } of this.open.values()) this.context.binding.closeDescriptor(descriptor);
    this.open.clear();
  }

  info(uplink: Uplink, bridges: string[]): UplinkInfo {
    return {
      interface: uplink.name,
      state: uplink.up ? 'up' : 'down',
      mac: macText(uplink.mac),
      mtu: uplink.mtu,
      addresses: uplink.addresses.map(formatIpv4),
      guard: uplink.guard,
      bridges,
      counters: this.context.engine.gatewayCounters.snapshot(MAX_BRIDGES + uplink.number),
    };
  }

  private async tryToOpen(link: Link, network: Network): Promise<void> {
    try {
      await this.add(link, network);
      this.problems.delete(link.name);
    } catch (error) {
      this.report(link.name, error);
    }
  }

  /** Once for each reason. */
  private report(name: string, error: unknown): void {
    const reason = reasonOf(error);
    if (this.problems.get(name) === reason) return;
    this.problems.set(name, reason);
    this.context.log.warn({ uplink: name, reason }, `cannot use ${name} as an uplink`);
  }

  private async add(link: Link, network: Network): Promise<void> {
    const { context } = this;
    const used = portAt(context, link.index);
    if (used !== undefined) throw new Error(`${link.name} is ${used}`);
    if (!isEthernet(link)) throw new Error(`${link.name} is no Ethernet interface`);
    if (link.master >= 0) throw new Error(`${link.name} belongs to another interface (a bridge, a bond)`);
    const number = this.recorded.get(link.name) ?? this.numbers.take();
    if (number < 0) throw new Error(`there are ${MAX_UPLINKS} uplinks already`);
    const port = context.portNumbers.take();
    const undo: (() => void)[] = [() => context.portNumbers.free(port)];
    if (!this.recorded.has(link.name)) undo.push(() => this.numbers.free(number));
    const inherited = context.changes.inherits(link.name);
    try {
      if (port < 0) throw new Error('the engine has no room for another port');
      const made = openInterface(context.binding, link.name, { threads: 1, promiscuous: false });
      undo.push(() => void context.binding.closeDescriptor(made.descriptor));
      // What is inherited is a classifier.
      const guard = inherited ? 'ebpf-tc' : this.guard().attach(link.name, [made.descriptor]);
      if (inherited) this.guard().filterOnly(link.name, [made.descriptor]);
      undo.push(() => this.guard().release(link.name));
      const { descriptor, vnetHeader, udpSegmentation } = made;
      const uplink: Uplink = {
        number,
        port,
        name: link.name,
        index: link.index,
        mac: parseMac(link.mac),
        mtu: link.mtu,
        addresses: interfaceAddresses(network, link.index),
        up: isUsable(link),
        descriptor,
        vnetHeader,
        udpSegmentation,
        failed: false,
        guard,
      };
      await context.engine.call('add-uplink', { uplink: number, port, settings: settingsOf(uplink) });
      if (inherited) this.inherited.add(uplink);
      this.recorded.delete(link.name);
      this.open.set(link.name, uplink);
      const addresses = uplink.addresses.map(formatIpv4).join(', ');
      const { name, mtu } = uplink;
      context.log.info({ uplink: name, addresses, mtu, guard }, `uplink ${name} opened`);
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw error;
    }
  }

  private async replaceGuard(uplink: Uplink): Promise<void> {
    const { name, descriptor } = uplink;
    this.inherited.delete(uplink);
    try {
      uplink.guard = this.guard().attach(name, [descriptor]);
    } catch (error) {
      await this.close(uplink);
      this.report(name, error);
    }
  }

  /** One that cannot be changed is closed; `follow` opens it anew, at once or with the next look. */
  private async tryToChange(uplink: Uplink, link: Link, network: Network): Promise<void> {
    try {
      await this.change(uplink, link, network);
    } catch (error) {
      await this.close(uplink);
      this.report(uplink.name, error);
    }
  }

  private async change(uplink: Uplink, link: Link, network: Network): Promise<void> {
    const { context } = this;
    const was = { ...uplink };
    uplink.mac = parseMac(link.mac);
    uplink.mtu = link.mtu;
    uplink.addresses = interfaceAddresses(network, link.index);
    uplink.up = isUsable(link);
    if (uplink.failed && uplink.up) {
      uplink.failed = false;
      await context.engine.call('remove-uplink', { uplink: uplink.number });
      await context.engine.call('add-uplink', { uplink: uplink.number, port: uplink.port, settings: settingsOf(uplink) });
      context.log.info({ uplink: uplink.name }, `uplink ${uplink.name} is up again`);
      return;
    }
    const { address, addresses } = settingsOf(uplink);
    const moved = uplink.addresses.join() !== was.addresses.join();
    const settings = {
      ...(!sameMac(uplink.mac, was.mac) && { mac: uplink.mac }),
      ...(uplink.mtu !== was.mtu && { mtu: uplink.mtu }),
      ...(moved && { address, addresses }),
      ...(uplink.up !== was.up && { up: uplink.up }),
    };
    if (Object.keys(settings).length === 0) return;
    await context.engine.call('set-uplink', { uplink: uplink.number, settings });
    const fields = { uplink: uplink.name, addresses: uplink.addresses.map(formatIpv4).join(', '), mtu: uplink.mtu };
    if (uplink.up !== was.up) context.log.info(fields, `uplink ${uplink.name} is ${uplink.up ? 'up' : 'down'}`);
    else context.log.info(fields, `uplink ${uplink.name} changed`);
  }

  /** Never throws: an engine or a kernel that refuses a step keeps nobody from the others. */
  private async close(uplink: Uplink): Promise<void> {
    const { context } = this;
    const { name, number } = uplink;
    this.open.delete(name);
    this.inherited.delete(uplink);
    const steps = [() => context.engine.call('remove-uplink', { uplink: number }), () => this.guard().release(name)];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        const reason = reasonOf(error);
        context.log.error({ uplink: name, reason }, `uplink ${name} is closed, but something of it may be left: ${reason}`);
      }
    }
    context.binding.closeDescriptor(uplink.descriptor);
    this.numbers.free(number);
    context.portNumbers.free(uplink.port);
  }
}

function settingsOf({ descriptor, vnetHeader, udpSegmentation, mac, mtu, addresses, up }: Uplink): UplinkSettings {
  const [address = 0, ...others] = addresses;
  const spec = { kind: 'packet', descriptor, vnetHeader, udpSegmentation } as const;
  return { spec, mac, mtu, address, addresses: others, up };
}
