/**
 * A set of IPv4 addresses: the host's own, and its broadcast addresses. Asked once per new flow and for what is not of any flow;
 * replaced as a whole when the host's addresses change.
 *
 * Open addressing at a load of at most one half. 0.0.0.0 marks a free slot: no host owns it, so it is never a member.
 */
const SLOTS_MIN = 64;

/** MurmurHash3's finalizer: neighbouring addresses shall not fill neighbouring slots. */
function hash(address: number): number {
  let h = address ^ (address >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  return h ^ (h >>> 13);
}

export class AddressSet {
  /** Members. */
  size = 0;
  private slots = new Int32Array(SLOTS_MIN);
  private mask = SLOTS_MIN - 1;

  /** Replaces all members. */
  set(addresses: Iterable<number>): void {
    const members = new Set<number>();
    for (const address of addresses) {
      members.add(address | 0);
    }
    members.delete(0);
    let capacity = SLOTS_MIN;
    while (capacity < members.size * 2) {
      capacity *= 2;
    }
    this.slots = new Int32Array(capacity);
    this.mask = capacity - 1;
    this.size = members.size;
    for (const address of members) {
      let slot = hash(address) & this.mask;
      while (this.slots[slot] !== 0) {
        slot = (slot + 1) & this.mask;
      }
      this.slots[slot] = address;
    }
  }

  has(address: number): boolean {
    if (address === 0) {
      return false;
    }
    const { slots, mask } = this;
    let slot = hash(address) & mask;
    for (;;) {
      const member = slots[slot];
      if (member === address) {
        return true;
      }
      if (member === 0) {
        return false;
      }
      slot = (slot + 1) & mask;
    }
  }
}
