/** Attaching ports: each kind opens its source, then all are handed to the engine and recorded the same way. */
import { rmSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { DEFAULT_PORT_FLAGS, type FaultSettings, type PortSettings, type PortSpec } from '../engine/protocol.js';
import { findLink } from '../netlink/link.js';
import { CaptureFile } from '../port/capture-file.js';
import { PcapError } from '../port/pcap-reader.js';
import { loadReplay } from '../port/replay-frames.js';
import { formatIpv4, type Ipv4Cidr, isUnicastIpv4, parseIpv4Cidr } from '../wire/ipv4-address.js';
import { type MacAddress, parseMac, randomMac } from '../wire/mac-address.js';
import { makeContainerPort, openNetns, setInterfaceMtu } from './container-port.js';
import { type ControlContext, portAt, save } from './context.js';
import { ControlError, orRefuse } from './control-error.js';
import { defined } from './defined.js';
import { interfaceAlias } from './interface-alias.js';
import { checkAddresses, checkRoutes } from './interface-config.js';
import { findUsableInterface, openInterface } from './interface-port.js';
import { makeLentPort } from './lent-port.js';
import { checkInterface, checkPortName, checkRange, FAULT_MICROS, FAULT_SEED, MAC_LIMIT, MTU, stationMac } from './limits.js';
import type { AttachPort } from './model.js';
import { changedRates } from './rates.js';
import type { Reattached } from './reattach.js';
import { type BridgeRecord, FRESH_INTERFACE, macText, NO_RATES, type PortRecord, portFlags, sameMac } from './records.js';
import { addressOf } from './routing.js';
import { type OpenTap, setPersistent } from './tap.js';
import type { Undo } from './undo.js';

const SOURCES = ['netns', 'pid', 'iface', 'capture', 'replay', 'lent'] as const;
const NO_ADDRESS_HINT = 'leave --ip out, or make the bridge with --subnet';

/** What a port had before a crash. */
export interface RestoredPort {
  /** A reserved one; -1: any. */
  number: number;
  /** The namespace it must be, 'device:inode'; null: any. */
  identity: string | null;
  /** Where its engine moved a lent one to. */
  sandbox: string | null;
  /** Its interface; null: it has to be made, or opened, anew. */
  tap: Reattached | null;
}

/**
 * @param restored null: a new port
 * @throws ControlError or SystemError; what was made until then is undone by `undo`
 */
export async function attachPort(
  context: ControlContext,
  bridge: BridgeRecord,
  request: AttachPort,
  restored: RestoredPort | null,
  undo: Undo,
): Promise<PortRecord> {
  const port = newRecord(bridge, request);
  chooseAddresses(bridge, request, port);
  // A restored port keeps what was chosen for it, whatever the host has at present.
  if (restored === null) context.gateway.checkPortEgress(bridge, port, port.egressAddress);
  port.number = restored !== null && restored.number >= 0 ? restored.number : context.portNumbers.take();
  if (port.number < 0) throw new ControlError('conflict', 'the engine has no room for another port', 'detach one');
  undo.add(() => context.portNumbers.free(port.number));

  if (restored?.tap) takeBack(port, request, restored.tap, restored.sandbox);
  else if (port.lent) openLent(context, bridge, request, port, undo);
  else if (port.kind === 'tap') openContainer(context, bridge, request, port, restored?.identity ?? null, undo);
  if (port.kind === 'packet') openHostInterface(context, bridge, request, port, undo);
  const spec = port.file === null ? descriptorSpec(port) : await openFile(context, port, undo);

  await context.engine.call('add-port', { port: port.number, settings: engineSettings(bridge, port, spec) });
  undo.add(async () => void (await context.engine.call('remove-port', { port: port.number })));
  bridge.ports.set(port.name, port);
  context.ports.set(port.number, { bridge, port });
  if (port.ip !== null) bridge.pool?.take(port.ip.address, port.name);
  undo.add(() => forget(context, bridge, port));
  await context.gateway.portAdded(bridge, port);
  save(context);
  keepInterface(context, port);
  return port;
}

/** Ends a port; the caller writes the record. Several may be under way: what takes time is the kernel's waiting. */
export async function detachPort(context: ControlContext, bridge: BridgeRecord, port: PortRecord): Promise<void> {
  await context.gateway.portLeaves(bridge, port);
  await context.engine.call('remove-port', { port: port.number });
  // Or it would go on with whoever gets the number next.
  for (const session of [...context.captures.values()]) if (session.port === port.number) await session.end();
  await closePort(context, port);
  await port.writer?.close();
  if (port.kind === 'packet') context.changes.release(port.interface as string);
  forget(context, bridge, port);
  context.portNumbers.free(port.number);
  const gone = bridge.fdb.filter((entry) => entry.port === port.name);
  bridge.fdb = bridge.fdb.filter((entry) => entry.port !== port.name);
  const dies = (mac: MacAddress) =>
    gone.some((entry) => sameMac(entry.mac, mac)) || (port.mac !== null && sameMac(port.mac, mac));
  bridge.neighbors = bridge.neighbors.filter((entry) => !dies(entry.mac));
}

/** Lets the interface of a port outlive this process, once the record on disk has the port. Without a record nothing does. @throws SystemError */
export function keepInterface({ binding, store }: ControlContext, port: PortRecord): void {
  if (store !== null && (port.kind === 'tap' || port.kind === 'host')) setPersistent(binding, port.descriptor, true);
}

/**
 * Closes the descriptors of a port; the last one of a TAP takes the interface with it.
 * @param keep the interface stays, for the next daemon
 */
export async function closePort({ binding }: ControlContext, port: PortRecord, keep = false): Promise<void> {
  if (port.descriptor < 0) return;
  if (!keep && (port.kind === 'tap' || port.kind === 'host')) setPersistent(binding, port.descriptor, false);
  const open = [port.descriptor, ...port.queues];
  // Before anything is awaited: the numbers are not ours any more.
  port.descriptor = -1;
  port.queues = [];
  await Promise.all(open.map((each) => binding.closeInBackground(each)));
}

/** How the engine is told of a port; also when it is added again after its interface was down. */
export function engineSettings(bridge: BridgeRecord, port: PortRecord, spec = descriptorSpec(port)): PortSettings {
  const address = port.mac !== null && port.owned ? { mac: port.mac, ip: port.ip === null ? null : port.ip.address } : null;
  return {
    bridge: bridge.number,
    spec,
    flags: portFlags(bridge, port),
    mtu: port.mtu,
    macLimit: port.macLimit,
    address,
    local: port.kind === 'host',
    faults: port.faults,
    rates: port.rates,
  };
}

/**
 * Changes the MTU of a TAP in its namespace; of other ports only what the bridge sends there.
 * @throws ControlError, SystemError when the interface is gone
 */
export function setPortMtu(context: ControlContext, bridge: BridgeRecord, port: PortRecord, mtu: number): void {
  checkRange('the MTU', mtu, MTU);
  if (port === bridge.host) {
    throw new ControlError(
      'invalid',
      `the MTU of the host port ${port.name} is the bridge's`,
      `set it: tapbridge set ${bridge.name} mtu=${mtu}`,
    );
  }
  if (port.kind !== 'tap') return;
  setInterfaceMtu(context.binding, port.descriptor, mtu);
}

/** Notes where a lent interface is: the engine that moves it does so before or after it tells. */
export function placePort(context: ControlContext, port: PortRecord, sandbox: string | null): void {
  if (sandbox !== port.netns) port.identity = null;
  port.netns = sandbox;
  // In a sandbox it has an index of its own, which may be another interface's here.
  port.index = sandbox === null ? (findLink(context.netlink, port.interface as string)?.index ?? -1) : -1;
  port.presentName = null;
}

export function checkFaults(faults: FaultSettings): void {
  for (const name of ['loss', 'duplicate', 'reorder', 'corrupt'] as const) {
    const value = faults[name];
    if (!(value >= 0 && value <= 1)) throw new ControlError('invalid', `${name} is a fraction from 0 to 1, not ${value}`);
  }
  for (const name of ['delayMicros', 'jitterMicros'] as const) checkRange(name, faults[name], FAULT_MICROS);
  checkRange('the seed', faults.seed, FAULT_SEED);
}

function descriptorSpec(port: PortRecord): PortSpec {
  const { descriptor, queues, offloads: vnetHeader, udpSegmentation } = port;
  return { kind: port.kind === 'packet' ? 'packet' : 'tap', descriptor, queues, vnetHeader, udpSegmentation };
}

function newRecord(bridge: BridgeRecord, request: AttachPort): PortRecord {
  const { port: name } = request;
  checkPortName(name);
  if (bridge.ports.has(name))
    throw new ControlError('conflict', `bridge ${bridge.name} has a port ${name}`, 'choose another name');
  if (name === bridge.name)
    throw new ControlError('conflict', `${name} is the name of the bridge's host port`, 'choose another name');
  const given = SOURCES.filter((source) => request[source] !== undefined);
  if (given.length !== 1) {
    throw new ControlError(
      'invalid',
      'a port needs exactly one of a namespace, a process, an interface or a file',
      'give --netns, --pid, --iface, --capture or --replay',
    );
  }
  const mtu = request.mtu ?? bridge.mtu;
  checkRange('the MTU', mtu, MTU);
  checkRange('the MAC limit', request.macLimit ?? 0, MAC_LIMIT);
  checkInterfaceConfig(request);
  if (request.faults !== undefined) checkFaults(request.faults);
  const source = given[0];
  return {
    number: -1,
    name,
    kind: source === 'iface' ? 'packet' : source === 'capture' || source === 'replay' ? source : 'tap',
    state: 'up',
    interface: null,
    index: -1,
    netns: request.netns ?? null,
    pid: request.pid ?? null,
    container: request.container ?? null,
    lent: source === 'lent',
    addresses: [...(request.addresses ?? [])],
    routes: request.routes ?? null,
    identity: null,
    file: request.capture ?? request.replay ?? null,
    mac: null,
    owned: true,
    ip: null,
    mtu,
    flags: { ...DEFAULT_PORT_FLAGS, ...defined(request.flags ?? {}) },
    macLimit: request.macLimit ?? 0,
    faults: request.faults ?? null,
    rates: changedRates(NO_RATES, request.rates ?? {}),
    egressAddress: addressOf(request.egressAddress ?? null),
    offloads: false,
    udpSegmentation: false,
    descriptor: -1,
    held: false,
    queues: [],
    writer: null,
    ...FRESH_INTERFACE,
  };
}

/** Only what is made in a container is configured from here. @throws ControlError */
function checkInterfaceConfig({ addresses = [], routes = [], netns, pid, lent, ifname }: AttachPort): void {
  if (lent !== undefined && ifname !== undefined) {
    throw new ControlError(
      'invalid',
      'a lent interface is named by whoever moves it',
      'leave the name inside of the container out',
    );
  }
  if (addresses.length + routes.length === 0) return;
  if (netns === undefined && pid === undefined) {
    throw new ControlError('invalid', 'further addresses and routes are for ports in a namespace', 'leave them out');
  }
  checkAddresses(addresses);
  checkRoutes(routes);
}

function chooseAddresses(bridge: BridgeRecord, request: AttachPort, port: PortRecord): void {
  const isFile = port.file !== null;
  if (isFile && (request.mac ?? request.ip ?? request.ifname) !== undefined) {
    throw new ControlError('invalid', 'a file has no address and no interface', 'leave --mac, --ip and --ifname out');
  }
  if (port.kind === 'packet' && request.ip !== undefined && request.mac === undefined) {
    throw new ControlError(
      'invalid',
      'an address behind an interface is only of use with its MAC',
      'add --mac, or leave --ip out',
    );
  }
  if (request.ip !== undefined) port.ip = chooseIp(bridge, request.ip);
  if (request.mac !== undefined) {
    port.mac = stationMac(request.mac);
    const owner = [bridge.host, ...bridge.ports.values()].find(
      (other) => other.mac !== null && sameMac(other.mac, port.mac as never),
    );
    if (owner !== undefined)
      throw new ControlError('conflict', `${request.mac} is the MAC of port ${owner.name}`, 'choose another one');
  } else if (port.kind === 'tap') {
    port.mac = freshMac(bridge, port.ip);
  }
}

/** The first two octets of Docker's, too: locally administered. */
const MAC_OF_ADDRESS = 0x0242;

/**
 * Made of the address where there is one: whoever gets the address next has the MAC its neighbors still remember. Nothing would correct them, since
 * the bridge answers ARP for a container and so keeps it from hearing who asks.
 */
function freshMac(bridge: BridgeRecord, ip: PortRecord['ip']): MacAddress {
  const taken = (mac: MacAddress) =>
    [bridge.host, ...bridge.ports.values()].some((other) => other.mac !== null && sameMac(other.mac, mac));
  let mac = ip === null ? randomMac(Math.random) : { high: MAC_OF_ADDRESS, low: ip.address };
  while (taken(mac)) mac = randomMac(Math.random);
  return mac;
}

function chooseIp(bridge: BridgeRecord, text: string): { address: number; prefix: number } {
  if (bridge.pool !== null) return { address: bridge.pool.resolve(text), prefix: bridge.pool.subnet.prefix };
  if (text === 'auto') {
    throw new ControlError('invalid', `bridge ${bridge.name} has no subnet to take an address from`, NO_ADDRESS_HINT);
  }
  const cidr: Ipv4Cidr = orRefuse('invalid', () => parseIpv4Cidr(text));
  if (!isUnicastIpv4(cidr.address) || !cidr.isHost(cidr.address)) {
    throw new ControlError('invalid', `${text} is no address of a host`);
  }
  for (const other of bridge.ports.values()) {
    if (other.ip?.address === cidr.address) {
      throw new ControlError('conflict', `${formatIpv4(cidr.address)} is taken by port ${other.name}`, 'choose another one');
    }
  }
  return { address: cidr.address, prefix: cidr.prefix };
}

function openContainer(
  context: ControlContext,
  bridge: BridgeRecord,
  request: AttachPort,
  port: PortRecord,
  identity: string | null,
  undo: Undo,
): void {
  const ifname = request.ifname ?? 'eth0';
  checkInterface(ifname);
  const netns = openNetns(context.binding, request);
  try {
    if (identity !== null && netns.identity !== identity) {
      throw new ControlError('not-found', `${netns.label} is another namespace than the one the port was attached to`);
    }
    if (netns.identity === context.here) {
      const what = `${netns.label} is the daemon's own network namespace, where the bridge has its host port`;
      throw new ControlError('invalid', what, "name a container's, or attach an interface with --iface");
    }
    const gateway = bridge.pool === null ? null : bridge.pool.gateway;
    const threads = context.engine.threads ?? 1;
    const { mtu, ip, addresses, routes } = port;
    const alias = interfaceAlias(context.instance, bridge.name, port.name);
    const spec = { ifname, mac: macText(port.mac as never), mtu, alias, ip, addresses, gateway, routes, threads };
    const made = makeContainerPort(context.binding, context.workshop, netns, undo, spec);
    port.identity = netns.identity;
    takeTap(port, ifname, made);
  } finally {
    netns.close();
  }
}

/** An interface that was found again: nothing of it is changed. */
function takeBack(port: PortRecord, request: AttachPort, tap: Reattached, sandbox: string | null): void {
  const made = request.lent ?? request.ifname ?? 'eth0';
  takeTap(port, made, tap);
  if (tap.name !== made) port.presentName = tap.name;
  if (port.lent) port.netns = sandbox;
  port.identity = tap.identity;
  port.index = tap.index;
  port.held = tap.held;
}

function openLent(context: ControlContext, bridge: BridgeRecord, request: AttachPort, port: PortRecord, undo: Undo): void {
  const name = request.lent as string;
  checkInterface(name);
  const alias = interfaceAlias(context.instance, bridge.name, port.name);
  const spec = { name, mac: macText(port.mac as never), mtu: port.mtu, alias, threads: context.engine.threads ?? 1 };
  const made = makeLentPort(context.binding, context.netlink, undo, spec);
  port.index = made.index;
  takeTap(port, name, made);
}

function takeTap(port: PortRecord, name: string, tap: OpenTap): void {
  port.interface = name;
  port.descriptor = tap.descriptor;
  port.queues = tap.queues;
  port.udpSegmentation = tap.udpSegmentation;
  port.offloads = true;
}

function openHostInterface(
  context: ControlContext,
  bridge: BridgeRecord,
  request: AttachPort,
  port: PortRecord,
  undo: Undo,
): void {
  const name = request.iface as string;
  checkInterface(name);
  if (request.ifname !== undefined) {
    throw new ControlError('invalid', `an interface of the host keeps its name ${name}`, 'leave --ifname out');
  }
  const link = findUsableInterface(context.netlink, name, (index) => usedBy(context, index));
  if (request.mtu === undefined) port.mtu = link.mtu;
  if (port.mtu !== bridge.mtu) {
    const message = `${name} has an MTU of ${port.mtu}, bridge ${bridge.name} of ${bridge.mtu}: larger frames are dropped`;
    context.log.warn({ bridge: bridge.name, port: port.name }, message);
  }
  if (port.mac === null) {
    port.mac = parseMac(link.mac);
    port.owned = false;
  }
  undo.add(() => context.changes.release(name));
  context.changes.hold(name, link.up, () => save(context));
  const made = openInterface(context.binding, name, { threads: context.engine.threads ?? 1, promiscuous: true });
  for (const each of [made.descriptor, ...made.queues]) undo.add(() => void context.binding.closeDescriptor(each));
  port.interface = name;
  port.index = link.index;
  port.descriptor = made.descriptor;
  port.queues = made.queues;
  port.offloads = made.vnetHeader;
  port.udpSegmentation = made.udpSegmentation;
}

/** Why an interface of the host can be no port. */
function usedBy(context: ControlContext, index: number): string | undefined {
  return context.gateway.uplinkOf(index) ?? portAt(context, index);
}

async function openFile(context: ControlContext, port: PortRecord, undo: Undo): Promise<PortSpec> {
  const file = port.file as NonNullable<PortRecord['file']>;
  const { path } = file;
  if (!isAbsolute(path)) throw new ControlError('invalid', `${path}: the daemon needs an absolute path`);
  if ('speed' in file) {
    const frames = await loadReplay(path).catch((error: Error) => {
      // A PcapError names the file itself.
      const what = error instanceof PcapError ? error.message : `${path}: ${error.message}`;
      throw new ControlError('invalid', `cannot replay ${what}`, undefined, error);
    });
    return { kind: 'replay', frames, speed: file.speed, loop: file.loop };
  }
  const epochMicros = Date.now() * 1000 - context.binding.monotonicMicros();
  const writer = await CaptureFile.open({ path, format: file.format, name: port.name, epochMicros }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw new ControlError('conflict', `${path} exists`, 'remove it, or write to another file');
      throw new ControlError('invalid', `cannot write ${path}: ${error.message}`, undefined, error);
    },
  );
  port.writer = writer;
  undo.add(async () => {
    await writer.close();
    rmSync(path, { force: true });
  });
  return { kind: 'capture', ring: writer.ring, snapLength: 0 };
}

function forget(context: ControlContext, bridge: BridgeRecord, port: PortRecord): void {
  bridge.ports.delete(port.name);
  context.ports.delete(port.number);
  if (port.ip !== null) bridge.pool?.release(port.ip.address);
}
