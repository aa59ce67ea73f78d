/**
 * N43: identifications for packets that are fragments or may become some. Many inner hosts share one outer address, so that theirs would
 * collide; RFC 6864, 4.3 wants them not to repeat for one (source, destination, protocol) within the life of a datagram.
 *
 * As the kernel does it: 2,048 counters with random starts, chosen by a keyed hash of source, destination and protocol. What shares a counter
 * sees gaps, never a repetition before 65,536 datagrams; the key keeps outsiders from reading one host's traffic off another's (RFC 7739).
 */
const COUNTERS = 2048;

export class IpIds {
  private readonly counters: Uint16Array;
  private readonly key: number;

  constructor(random: () => number) {
    this.counters = Uint16Array.from({ length: COUNTERS }, () => Math.floor(random() * 0x1_0000));
    this.key = Math.floor(random() * 0x1_0000_0000) | 0;
  }

  /** The first of `count` consecutive identifications (a super-frame takes one for each of its segments); they wrap at 65,536. */
  next(source: number, destination: number, protocol: number, count: number): number {
    let hash = Math.imul(source ^ this.key, 0x9e3779b1) ^ destination;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) ^ protocol;
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    const counter = (hash ^ (hash >>> 16)) & (COUNTERS - 1);
    const id = this.counters[counter];
    this.counters[counter] = id + count;
    return id;
  }
}
