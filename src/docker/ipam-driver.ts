/**
 * Docker's IpamDriver: subnets for networks, addresses for gateways and containers. Used with `--ipam-driver NAME` only; the network driver takes what
 * any IPAM driver gives.
 *
 *     network create ─▶ RequestPool ─▶ RequestAddress (gateway) ─▶ RequestAddress (aux) …
 *     run            ─▶ RequestAddress ─▶ … ─▶ ReleaseAddress
 *     network rm     ─▶ ReleaseAddress … ─▶ ReleasePool
 *     dockerd starts ─▶ Activate ─▶ all of it that is still there, once more
 *
 * Invariants: pools do not overlap each other, nor, when they are new, the host's networks; an address has one holder. A subnet nobody chose comes from
 * the default pools, and each time another one, since dockerd asks until it likes one and gives back the others then.
 * Limits: 512 pools; lease-pool.ts has those of each.
 */
import { randomBytes } from 'node:crypto';
import { ControlError, orRefuse } from '../control/control-error.js';
import type { Undo } from '../control/undo.js';
import type { DockerControl } from './docker-control.js';
import type { DockerRecord } from './docker-record.js';
import type { UsedSubnet } from './host-subnets.js';
import { LeasePool } from './lease-pool.js';
import * as messages from './messages.js';
import { Subnet } from './subnet.js';

/** Subnets to choose from: all of this size in `base`. */
export interface DefaultPool {
  base: string;
  /** Prefix of each. */
  size: number;
}

/** 1,024 subnets with room for as many containers as an engine has ports. Docker's own begin at 172.17.0.0 and 192.168.0.0. */
export const DEFAULT_POOLS: readonly DefaultPool[] = [{ base: '10.208.0.0/12', size: 22 }];

export interface IpamOptions {
  control: DockerControl;
  record: DockerRecord;
  /** What the host uses. */
  used: () => UsedSubnet[];
  defaultPools?: readonly DefaultPool[];
  /** Seconds since 1970. */
  now: () => number;
}

const LOCAL = 'tblocal';
const GLOBAL = 'tbglobal';
const GATEWAY_TYPE = 'com.docker.network.gateway';
const MAX_POOLS = 512;
/** What a bridge can have (control/address-pool.ts), and what is of use of IPv6. */
const PREFIXES = { 32: { min: 8, max: 30 }, 128: { min: 16, max: 126 } } as const;
/** A pool whose network never came, because a connection broke on the way or dockerd was killed. */
const FORGOTTEN_SECONDS = 600;

export class IpamDriver {
  private readonly control: DockerControl;
  private readonly record: DockerRecord;
  private readonly used: () => UsedSubnet[];
  private readonly defaultPools: readonly DefaultPool[];
  private readonly now: () => number;
  private readonly pools = new Map<string, LeasePool>();

  constructor(options: IpamOptions) {
    this.control = options.control;
    this.record = options.record;
    this.used = options.used;
    this.defaultPools = options.defaultPools ?? DEFAULT_POOLS;
    this.now = options.now;
    for (const each of this.record.pools.values()) this.pools.set(each.id, new LeasePool(each));
  }

  /** dockerd has started: it may ask again for what it has. */
  beginReplay(): void {
    for (const pool of this.pools.values()) pool.beginReplay(this.now());
  }

  capabilities(): object {
    return { RequiresMACAddress: false, RequiresRequestReplay: true };
  }

  addressSpaces(): object {
    return { LocalDefaultAddressSpace: LOCAL, GlobalDefaultAddressSpace: GLOBAL };
  }

  requestPool(body: unknown, undo: Undo): object {
    const request = messages.parseRequest(messages.RequestPoolRequest, body);
    checkSpace(request);
    const unknown = Object.keys(request.Options ?? {}).find((name) => !name.startsWith('com.docker.'));
    if (unknown !== undefined) throw new ControlError('invalid', `tapbridge knows no IPAM option ${unknown}`, 'leave it out');
    if (request.Pool === '' && request.SubPool !== '') {
      throw new ControlError('invalid', 'a range of addresses needs its subnet', 'add --subnet');
    }
    const subnet = request.Pool === '' ? this.choose(request.V6) : poolSubnet(request.Pool, request.V6);
    const id = `${LOCAL}/${subnet}`;
    const range = request.SubPool === '' ? null : rangeOf(request.SubPool, subnet);
    const known = this.pools.get(id);
    const unconfirm = known?.confirm(range, this.now());
    if (known !== undefined && unconfirm !== undefined) {
      undo.add(() => {
        unconfirm();
        this.record.save();
      });
      this.record.save();
      return answer(known);
    }
    this.refuseOverlap(subnet, request.Pool !== '');
    const made = { id, subnet: String(subnet), range, leases: [], last: null, since: this.now() };
    this.record.pools.set(id, made);
    const pool = new LeasePool(made);
    this.pools.set(id, pool);
    undo.add(() => this.drop(id));
    this.record.save();
    return answer(pool);
  }

  releasePool(body: unknown): object {
    const { PoolID } = messages.parseRequest(messages.ReleasePoolRequest, body);
    if (this.pools.has(PoolID)) this.drop(PoolID);
    return {};
  }

  /** Those of a network dockerd has forgotten: it will not give them back. One that another network has as well stays. */
  dropPoolsOf(networkId: string): void {
    const { networks } = this.record;
    const others = [...networks.values()].filter(({ id }) => id !== networkId);
    for (const text of networks.get(networkId)?.subnets ?? []) {
      const pool = [...this.pools.values()].find(({ subnet }) => String(subnet) === text);
      if (pool !== undefined && !others.some(({ subnets }) => subnets.includes(text))) this.drop(pool.id);
    }
  }

  requestAddress(body: unknown, undo: Undo): object {
    const { PoolID, Address, Options } = messages.parseRequest(messages.RequestAddressRequest, body);
    const pool = this.pools.get(PoolID);
    if (pool === undefined) {
      const what = `tapbridge has no pool ${PoolID}: its record was lost`;
      throw new ControlError('not-found', what, 'restart dockerd, which tells it again');
    }
    const isGateway = Options?.['RequestAddressType'] === GATEWAY_TYPE;
    const taken = this.takenBeside(pool.subnet, isGateway && Address === '');
    const before = pool.leases;
    const cidr = pool.request(Address, isGateway, taken);
    if (pool.leases > before) undo.add(() => this.giveBack(pool, cidr.slice(0, cidr.indexOf('/'))));
    this.record.save();
    return { Address: cidr, Data: {} };
  }

  releaseAddress(body: unknown): object {
    const { PoolID, Address } = messages.parseRequest(messages.ReleaseAddressRequest, body);
    const pool = this.pools.get(PoolID);
    if (pool !== undefined) this.giveBack(pool, Address);
    return {};
  }

  /** Forgets pools nobody ever took an address of, and those dockerd did not name again after its start. */
  collect(): void {
    for (const { id, subnet, unclaimedSince } of [...this.pools.values()]) {
      if (unclaimedSince === null || this.now() - unclaimedSince <= FORGOTTEN_SECONDS) continue;
      if (!this.isInUse(subnet)) this.drop(id);
    }
  }

  private giveBack(pool: LeasePool, address: string): void {
    pool.release(address);
    this.record.save();
  }

  private drop(id: string): void {
    this.pools.delete(id);
    this.record.pools.delete(id);
    this.record.save();
  }

  /**
   * Ports of other makers than Docker may have addresses of the subnet: those a person attached.
   * @param isForGateway Docker's own count, too: a lease that dockerd has not asked for again may be of a container that runs
   */
  private takenBeside(subnet: Subnet, isForGateway: boolean): (address: string) => string | null {
    const owners = new Map<string, string>();
    const add = (cidr: string | null, owner: string) => {
      if (cidr !== null) owners.set(cidr.slice(0, cidr.indexOf('/')), owner);
    };
    const text = String(subnet);
    const bridge = this.control.listBridges().find((each) => each.subnet === text)?.name;
    for (const { name, ip, container, kind } of bridge === undefined ? [] : this.control.listPorts(bridge)) {
      if (kind !== 'host' && container?.engine !== 'docker') add(ip, `port ${name} of bridge ${bridge}`);
    }
    for (const { subnets, endpoints } of isForGateway ? this.record.networks.values() : []) {
      if (!subnets.includes(text)) continue;
      for (const { port, ip, ip6 } of endpoints.values()) {
        add(ip, `port ${port} of Docker's`);
        add(ip6, `port ${port} of Docker's`);
      }
    }
    return (address) => owners.get(address) ?? null;
  }

  private choose(v6: boolean): Subnet {
    if (v6) return uniqueLocal();
    const used = [...this.used().map(({ subnet }) => subnet), ...this.bridgeSubnets().map(({ subnet }) => subnet)];
    used.push(...[...this.pools.values()].map(({ subnet }) => subnet));
    for (const { base, size } of this.defaultPools) {
      const all = Subnet.parse(base);
      const step = 1n << BigInt(all.bits - size);
      for (let first = all.first; first <= all.last; first += step) {
        const subnet = new Subnet({ bits: all.bits, value: first }, size);
        if (!used.some((each) => each.overlaps(subnet))) return subnet;
      }
    }
    const bases = this.defaultPools.map(({ base }) => base).join(', ');
    throw new ControlError('conflict', `no subnet of ${bases} is free`, 'choose one with --subnet, or remove networks');
  }

  private refuseOverlap(subnet: Subnet, isChosenByUser: boolean): void {
    if (this.pools.size >= MAX_POOLS) {
      throw new ControlError('conflict', `there are ${MAX_POOLS} pools of addresses`, 'remove networks');
    }
    const hint = 'choose another one with --subnet';
    const pool = [...this.pools.values()].find((each) => each.subnet.overlaps(subnet));
    if (pool !== undefined) {
      throw new ControlError('conflict', `the subnet ${subnet} overlaps ${pool.subnet}, which another network has`, hint);
    }
    if (!isChosenByUser) return;
    // The network's own bridge is on the host already when dockerd tells of a pool whose record was lost.
    if (this.bridgeSubnets().some((each) => each.isDocker && String(each.subnet) === String(subnet))) return;
    // A route to more than the subnet (a VPN's 0.0.0.0/1) leaves it to whoever is nearer, as the kernel's own routing does.
    const host = this.used().find((each) => (each.isRoute ? subnet.covers(each.subnet) : each.subnet.overlaps(subnet)));
    if (host === undefined) return;
    throw new ControlError('conflict', `the subnet ${subnet} overlaps ${host.subnet} of ${host.by}`, hint);
  }

  /** A network may have no gateway in it, and no container yet; dockerd may have started while nobody answered it here. */
  private isInUse(subnet: Subnet): boolean {
    if ([...this.record.networks.values()].some(({ subnets }) => subnets.includes(String(subnet)))) return true;
    if (this.bridgeSubnets().some((each) => each.subnet.overlaps(subnet))) return true;
    // Of a network that another driver made with addresses from here, the host has an interface.
    return this.used().some((each) => !each.isRoute && each.subnet.overlaps(subnet));
  }

  private bridgeSubnets(): { subnet: Subnet; isDocker: boolean }[] {
    return this.control
      .listBridges()
      .flatMap(({ subnet, network }) =>
        subnet === null ? [] : [{ subnet: Subnet.parse(subnet), isDocker: network?.engine === 'docker' }],
      );
  }
}

/** What a person wrote into the configuration. @throws ControlError invalid, which names the pool */
export function checkDefaultPools(pools: readonly DefaultPool[]): void {
  const { min, max } = PREFIXES[32];
  for (const { base, size } of pools) {
    const subnet = orRefuse('invalid', () => Subnet.parse(base), 'write pools like {base: 10.64.0.0/12, size: 24}');
    if (subnet.bits === 32 && subnet.prefix <= size && size >= min && size <= max) continue;
    const what = `the pool ${base} cannot be cut into IPv4 subnets of /${size}`;
    throw new ControlError('invalid', what, `its size is from its own prefix to /${max}, at least /${min}`);
  }
}

function answer({ id, subnet }: LeasePool): object {
  return { PoolID: id, Pool: String(subnet), Data: {} };
}

function checkSpace({ AddressSpace }: messages.RequestPoolRequest): void {
  if (AddressSpace === LOCAL) return;
  const what = `tapbridge has no address space ${JSON.stringify(AddressSpace)}`;
  throw new ControlError('invalid', what, 'its networks are local: leave --scope out');
}

function poolSubnet(text: string, v6: boolean): Subnet {
  const subnet = orRefuse('invalid', () => Subnet.parse(text), 'write it like 10.1.0.0/24');
  if ((subnet.bits === 128) !== v6) throw new ControlError('invalid', `${text} is of the other IP family`);
  const meant = String(subnet);
  if (text.toLowerCase() !== meant) {
    throw new ControlError('invalid', `${text} is not how this subnet is written`, `write ${meant}`);
  }
  const { min, max } = PREFIXES[subnet.bits];
  if (subnet.prefix < min || subnet.prefix > max) {
    throw new ControlError('invalid', `a subnet of containers has a prefix of /${min} to /${max}, not /${subnet.prefix}`);
  }
  return subnet;
}

function rangeOf(text: string, subnet: Subnet): string {
  const range = orRefuse('invalid', () => Subnet.parse(text), 'write --ip-range like 10.1.0.128/25');
  if (!subnet.covers(range)) {
    throw new ControlError('invalid', `the range ${text} lies outside of ${subnet}`, 'choose one inside with --ip-range');
  }
  return String(range);
}

/** RFC 4193: 40 random bits. */
function uniqueLocal(): Subnet {
  const random = BigInt(`0x${randomBytes(5).toString('hex')}`);
  return new Subnet({ bits: 128, value: (0xfdn << 120n) | (random << 80n) }, 64);
}
