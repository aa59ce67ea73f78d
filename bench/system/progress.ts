/** What a person sees while a campaign runs: one line that is written over on a terminal, else a line a round. On standard error. */

export interface ProgressState {
  done: number;
  total: number;
  elapsedSeconds: number;
  /** Estimated. */
  restSeconds: number;
  round: number;
  rounds: number;
  /** 'tcp-1 tapbridge' */
  current: string;
  /** 'udp-64 kernel-bridge 512 kpps', '' before the first. */
  last: string;
}

const BAR_CELLS = 16;
const REDRAW_MILLIS = 1000;

export class Progress {
  private readonly stream: NodeJS.WriteStream;
  private readonly timer: NodeJS.Timeout | undefined;
  private state: (() => ProgressState) | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
    // Seconds run on while a trial lasts. A redraw costs microseconds.
    if (stream.isTTY) this.timer = setInterval(() => this.draw(), REDRAW_MILLIS);
  }

  /** @param state asked again whenever the line is redrawn */
  show(state: () => ProgressState): void {
    this.state = state;
    this.draw();
  }

  /** For streams that keep what is written. */
  roundDone({ round, rounds, done, total, elapsedSeconds, restSeconds }: ProgressState): void {
    if (this.stream.isTTY) return;
    const rest = done < total ? `, about ${clock(restSeconds)} left` : '';
    this.stream.write(`round ${round} of ${rounds}: ${done} of ${total} trials, ${clock(elapsedSeconds)}${rest}\n`);
  }

  /** A line that stays, above the one that is redrawn. */
  say(line: string): void {
    this.clear();
    this.stream.write(`${line}\n`);
    this.draw();
  }

  end(): void {
    clearInterval(this.timer);
    this.state = undefined;
    this.clear();
  }

  private draw(): void {
    if (!this.stream.isTTY || this.state === undefined) return;
    const line = progressLine(this.state()).slice(0, (this.stream.columns ?? 80) - 1);
    this.stream.write(`\r\x1b[K${line}`);
  }

  private clear(): void {
    if (this.stream.isTTY) this.stream.write('\r\x1b[K');
  }
}

export function progressLine({ done, total, elapsedSeconds, restSeconds, current, last, round, rounds }: ProgressState): string {
  const filled = Math.round((done / total) * BAR_CELLS);
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled);
  const parts = [
    `${bar} ${done}/${total}`,
    `${clock(elapsedSeconds)}, ${clock(restSeconds)} left`,
    `round ${round}/${rounds}: ${current}`,
  ];
  if (last !== '') parts.push(`last: ${last}`);
  return parts.join('  ');
}

/** '1:02', '1:00:00'. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
