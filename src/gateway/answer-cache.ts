/**
 * The resolver's last answers, each for the second it was given in: a stream costs one look at a line of memory, not a look-up in a table that
 * other threads may change. A neighbor that moves is followed within that second, the same time a table takes to believe the next move (A13).
 *
 *     line = [ address | zone | MAC, upper 16 bits | MAC, lower 32 bits | second | - | - | - ]      chosen by a hash, the last answer wins
 */
const SHIFT = 3;
const LINES = 1024;
const ZONE = 1;
const HIGH = 2;
const LOW = 3;
const SECOND = 4;
const NONE = -1;

export class AnswerCache {
  /** MAC of what `find` found last. */
  macHigh = 0;
  macLow = 0;
  private readonly words = new Int32Array(LINES << SHIFT).fill(NONE);

  find(zone: number, ip: number, seconds: number): boolean {
    const { words } = this;
    const at = line(zone, ip);
    if (words[at] !== ip || words[at + ZONE] !== zone || words[at + SECOND] !== seconds) {
      return false;
    }
    this.macHigh = words[at + HIGH];
    this.macLow = words[at + LOW];
    return true;
  }

  put(zone: number, ip: number, macHigh: number, macLow: number, seconds: number): void {
    const { words } = this;
    const at = line(zone, ip);
    words[at] = ip;
    words[at + ZONE] = zone;
    words[at + HIGH] = macHigh;
    words[at + LOW] = macLow;
    words[at + SECOND] = seconds;
  }

  forget(zone: number, ip: number): void {
    this.words[line(zone, ip) + SECOND] = NONE;
  }

  clear(): void {
    this.words.fill(NONE);
  }
}

function line(zone: number, ip: number): number {
  return (Math.imul(ip ^ (zone << 20), 0x9e3779b1) >>> 22) << SHIFT;
}
