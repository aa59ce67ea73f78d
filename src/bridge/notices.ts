/**
 * Notices: what is worth telling people, kept small. The loop writes them into preallocated columns; once a second the engine hands
 * them to the main thread and empties them. What does not fit is only counted (by the bridge's counters): a storm of frames never
 * becomes a storm of messages.
 */
const CAPACITY = 16;

export const NoticeKind = { fdbMoved: 0, arpConflict: 1, fdbFull: 2 } as const;

export class Notices {
  readonly kind = new Uint8Array(CAPACITY);
  readonly macHigh = new Int32Array(CAPACITY);
  readonly macLow = new Int32Array(CAPACITY);
  /** VLAN of a move, IPv4 address of a conflict. */
  readonly subject = new Int32Array(CAPACITY);
  readonly from = new Int32Array(CAPACITY);
  readonly to = new Int32Array(CAPACITY);
  /** How often the same happened. */
  readonly times = new Int32Array(CAPACITY);
  count = 0;

  moved(macHigh: number, macLow: number, vlan: number, from: number, to: number): void {
    this.note(NoticeKind.fdbMoved, macHigh, macLow, vlan, from, to);
  }

  conflict(ip: number, macHigh: number, macLow: number): void {
    this.note(NoticeKind.arpConflict, macHigh, macLow, ip, -1, -1);
  }

  full(): void {
    this.note(NoticeKind.fdbFull, 0, 0, 0, -1, -1);
  }

  clear(): void {
    this.count = 0;
  }

  private note(kind: number, macHigh: number, macLow: number, subject: number, from: number, to: number): void {
    for (let index = 0; index < this.count; index++) {
      if (
        this.kind[index] === kind &&
        this.macLow[index] === macLow &&
        this.macHigh[index] === macHigh &&
        this.subject[index] === subject
      ) {
        this.times[index]++;
        this.to[index] = to;
        return;
      }
    }
    if (this.count < CAPACITY) {
      const index = this.count++;
      this.kind[index] = kind;
      this.macHigh[index] = macHigh;
      this.macLow[index] = macLow;
      this.subject[index] = subject;
      this.from[index] = from;
      this.to[index] = to;
      this.times[index] = 1;
    }
  }
}
