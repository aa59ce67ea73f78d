/**
 * The addresses of one subnet that dockerd has got.
 *
 * The next address goes round its range instead of being the lowest free one, so that one just given back rests as long as possible: others may still have
 * it in their ARP caches. After a start dockerd asks again for what it has (`RequiresRequestReplay`): what was given before then (`beginReplay`) is given
 * once more to whoever names it, what was given since is taken. A pool that is asked for again may also be a new network's: one of a `network create` that
 * was interrupted is left, with its gateway. So the range is as asked for, and a gateway nobody names is the first address again.
 * Limits: 4,096 addresses of a subnet, more than ports of an engine; a full range is found full after 65,536 tries.
 */
import { ControlError, orRefuse } from '../control/control-error.js';
import type { SavedPool } from './docker-record.js';
import { formatAddress, parseAddress, Subnet } from './subnet.js';

const MAX_LEASES = 4096;
const MAX_TRIES = 65_536;

export class LeasePool {
  readonly id: string;
  readonly subnet: Subnet;
  private readonly saved: SavedPool;
  private range: Subnet;
  /** Asked for since dockerd started; the others may be asked for again. */
  private readonly confirmed = new Set<string>();
  /** The pool itself likewise: seconds since 1970 when dockerd started, null once it has named the pool. */
  private replaySince: number | null = null;

  /** @param saved kept up to date here */
  constructor(saved: SavedPool) {
    this.id = saved.id;
    this.saved = saved;
    this.subnet = Subnet.parse(saved.subnet);
    this.range = this.savedRange();
    for (const lease of saved.leases) this.confirmed.add(lease);
  }

  get leases(): number {
    return this.saved.leases.length;
  }

  /** Seconds since 1970 from when on nothing dockerd says shows that a network has it; null: something does. */
  get unclaimedSince(): number | null {
    if (this.replaySince !== null) return this.replaySince;
    return this.leases === 0 ? this.saved.since : null;
  }

  /** @param now seconds since 1970 */
  beginReplay(now: number): void {
    this.confirmed.clear();
    this.replaySince = now;
  }

  /**
   * dockerd asks for the pool: once for each replay.
   * @param range where addresses nobody chose come from; null: the whole subnet
   * @param now seconds since 1970
   * @returns what undoes it; undefined when the pool is somebody's already
   */
  confirm(range: string | null, now: number): (() => void) | undefined {
    const { saved, replaySince } = this;
    if (replaySince === null) return undefined;
    const before = { range: saved.range, last: saved.last, since: saved.since };
    const set = (replay: number | null, values: typeof before) => {
      this.replaySince = replay;
      Object.assign(saved, values);
      this.range = this.savedRange();
    };
    set(null, { range, last: range === before.range ? before.last : null, since: now });
    return () => set(replaySince, before);
  }

  /**
   * @param text the address asked for, '' for any
   * @param isGateway any: the first one of the subnet, if nobody has asked for it since dockerd started
   * @param taken by whom the subnet's addresses are used beside dockerd, null for nobody
   * @returns the address with the prefix of the subnet
   * @throws ControlError
   */
  request(text: string, isGateway: boolean, taken: (address: string) => string | null): string {
    this.replaySince = null;
    const address = text === '' ? this.any(isGateway, taken) : this.chosen(text, taken);
    if (!this.has(address)) {
      if (this.saved.leases.length >= MAX_LEASES) {
        throw new ControlError('conflict', `${this.subnet} has given out ${MAX_LEASES} addresses`, 'remove containers');
      }
      this.saved.leases.push(address);
      if (text === '') this.saved.last = address;
    }
    this.confirmed.add(address);
    return `${address}/${this.subnet.prefix}`;
  }

  /** One that was not given out is no error. */
  release(text: string): void {
    this.replaySince = null;
    const address = normal(text);
    const index = this.saved.leases.indexOf(address);
    if (index >= 0) this.saved.leases.splice(index, 1);
    this.confirmed.delete(address);
  }

  private chosen(text: string, taken: (address: string) => string | null): string {
    const address = orRefuse('invalid', () => parseAddress(text), 'name an address of the subnet');
    const shown = formatAddress(address);
    if (!this.subnet.isHost(address)) {
      throw new ControlError('invalid', `${shown} is no address of a host in ${this.subnet}`, 'name another one');
    }
    if (this.has(shown)) {
      if (this.confirmed.has(shown)) throw new ControlError('conflict', `${shown} is taken`, 'name another one, or none');
      return shown;
    }
    const owner = taken(shown);
    if (owner !== null) throw new ControlError('conflict', `${shown} is taken by ${owner}`, 'name another one, or none');
    return shown;
  }

  private any(isGateway: boolean, taken: (address: string) => string | null): string {
    const { subnet, range } = this;
    const isFree = (shown: string) => !this.has(shown) && taken(shown) === null;
    if (isGateway) {
      const shown = formatAddress({ bits: subnet.bits, value: subnet.first + 1n });
      if (!this.confirmed.has(shown) && taken(shown) === null) return shown;
    }
    const size = range.last - range.first + 1n;
    const last = this.saved.last === null ? range.first - 1n : parseAddress(this.saved.last).value;
    const tries = size < BigInt(MAX_TRIES) ? size : BigInt(MAX_TRIES);
    for (let step = 1n; step <= tries; step++) {
      const offset = (last - range.first + step) % size;
      const address = { bits: subnet.bits, value: range.first + (offset < 0n ? offset + size : offset) };
      if (!subnet.isHost(address)) continue;
      const shown = formatAddress(address);
      if (isFree(shown)) return shown;
    }
    throw new ControlError('conflict', `no address of ${range} is free`, 'remove containers, or use a larger subnet');
  }

  private savedRange(): Subnet {
    return this.saved.range === null ? this.subnet : Subnet.parse(this.saved.range);
  }

  private has(address: string): boolean {
    return this.saved.leases.includes(address);
  }
}

/** One way of writing for each address; what is none stays as it is, and is found nowhere. */
function normal(text: string): string {
  try {
    return formatAddress(parseAddress(text));
  } catch {
    return text;
  }
}
