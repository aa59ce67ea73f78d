/**
 * The addresses of one bridge's subnet: which are taken, and which is next.
 *
 * The network, broadcast and gateway addresses are never given out. `next` goes round the subnet instead of taking the lowest free one, so that
 * an address just given back rests as long as possible: others may still have it in their ARP caches.
 * Limit: a full subnet is found full by one walk over it; at most 2^16 addresses are tried, more do not fit on one bridge anyway.
 */
import { formatIpv4, type Ipv4Cidr, isUnicastIpv4, parseIpv4, parseIpv4Cidr } from '../wire/ipv4-address.js';
import { ControlError, orRefuse } from './control-error.js';

const MIN_PREFIX = 8;
const MAX_PREFIX = 30;
const MAX_TRIES = 65_536;

export class AddressPool {
  readonly subnet: Ipv4Cidr;
  /** int32. */
  readonly gateway: number;
  private readonly owners = new Map<number, string>();
  private last: number;

  constructor(subnet: Ipv4Cidr, gateway: number) {
    this.subnet = subnet;
    this.gateway = gateway;
    this.last = subnet.network;
  }

  /**
   * @param gateway undefined: the first address
   * @throws ControlError for a subnet no bridge can have, or a gateway outside of it
   */
  static parse(subnetText: string, gatewayText?: string): AddressPool {
    const subnet = orRefuse('invalid', () => parseIpv4Cidr(subnetText));
    if (subnet.address !== subnet.network) {
      const meant = `${formatIpv4(subnet.network)}/${subnet.prefix}`;
      throw new ControlError('invalid', `${subnetText} is an address inside of a subnet, not a subnet`, `write ${meant}`);
    }
    if (subnet.prefix < MIN_PREFIX || subnet.prefix > MAX_PREFIX) {
      throw new ControlError(
        'invalid',
        `a subnet of a bridge has a prefix of /${MIN_PREFIX} to /${MAX_PREFIX}, not /${subnet.prefix}`,
      );
    }
    if (!isUnicastIpv4(subnet.network) || !isUnicastIpv4(subnet.broadcast)) {
      throw new ControlError('invalid', `${subnetText} is not a network of hosts`, 'use a private one, like 10.1.0.0/24');
    }
    const gateway = gatewayText === undefined ? subnet.network + 1 : orRefuse('invalid', () => parseIpv4(gatewayText));
    if (!subnet.isHost(gateway)) {
      throw new ControlError('invalid', `the gateway ${formatIpv4(gateway)} is no host address of ${subnetText}`);
    }
    return new AddressPool(subnet, gateway);
  }

  /**
   * The address a request means: '10.0.0.5', '10.0.0.5/24', or 'auto' for the next free one. Takes nothing yet.
   * @throws ControlError saying why it cannot be had
   */
  resolve(text: string): number {
    if (text === 'auto') return this.next();
    const address = this.parseHost(text);
    const shown = formatIpv4(address);
    if (!this.subnet.contains(address)) {
      throw new ControlError('invalid', `${shown} is outside of the bridge's subnet ${this.subnet}`);
    }
    if (address === this.subnet.network || address === this.subnet.broadcast) {
      const which = address === this.subnet.network ? 'network' : 'broadcast';
      throw new ControlError('invalid', `${shown} is the ${which} address of ${this.subnet}`);
    }
    if (address === this.gateway) throw new ControlError('conflict', `${shown} is the bridge's own address, the gateway`);
    const owner = this.owners.get(address);
    if (owner !== undefined) {
      throw new ControlError('conflict', `${shown} is taken by port ${owner}`, 'choose another one, or "auto"');
    }
    return address;
  }

  take(address: number, owner: string): void {
    this.owners.set(address, owner);
    this.last = address;
  }

  release(address: number): void {
    this.owners.delete(address);
  }

  private parseHost(text: string): number {
    if (!text.includes('/')) return orRefuse('invalid', () => parseIpv4(text));
    const cidr: Ipv4Cidr = orRefuse('invalid', () => parseIpv4Cidr(text));
    if (cidr.prefix !== this.subnet.prefix && this.subnet.contains(cidr.address)) {
      const hint = `write ${formatIpv4(cidr.address)}/${this.subnet.prefix}, or leave the prefix out`;
      throw new ControlError('invalid', `${text} has another prefix than the bridge's subnet ${this.subnet}`, hint);
    }
    return cidr.address;
  }

  private next(): number {
    const size = this.subnet.broadcast - this.subnet.network + 1;
    const from = this.last - this.subnet.network;
    for (let step = 1; step <= Math.min(size, MAX_TRIES); step++) {
      const address = this.subnet.network + ((from + step) % size);
      if (this.subnet.isHost(address) && address !== this.gateway && !this.owners.has(address)) return address;
    }
    throw new ControlError('conflict', `no address of ${this.subnet} is free`, 'detach a port, or use a larger subnet');
  }
}
