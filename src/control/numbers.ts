/** Small integers handed out and taken back: the numbers by which the engine knows bridges and ports. */
export class Numbers {
  private readonly taken = new Set<number>();
  private readonly limit: number;
  private next = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** A free number, or -1. Goes round, so that a number just freed is not given again at once and late events do not hit its next owner. */
  take(): number {
    if (this.taken.size >= this.limit) return -1;
    while (this.taken.has(this.next)) this.next = (this.next + 1) % this.limit;
    const number = this.next;
    this.taken.add(number);
    this.next = (number + 1) % this.limit;
    return number;
  }

  /** Takes a certain one, before others are given. @returns whether it was free and is one of these */
  reserve(number: number): boolean {
    if (!Number.isInteger(number) || number < 0 || number >= this.limit || this.taken.has(number)) return false;
    this.taken.add(number);
    return true;
  }

  free(number: number): void {
    this.taken.delete(number);
  }
}
