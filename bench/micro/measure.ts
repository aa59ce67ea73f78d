/** One number of one process: nanoseconds per unit of work, printed as JSON for main.ts. */
export interface Work {
  /** Units one `run` handles. */
  units: number;
  /** Makes the input of the next run; not timed. */
  prepare?: () => void;
  run: () => void;
  /** Looks at what came out, so that nothing was computed in vain. @throws Error when it is wrong */
  check: (runs: number) => void;
}

const WARM_UP_NANOS = 400e6;
const WINDOW_NANOS = 100e6;
const WINDOWS = 7;

/**
 * Warms up, then takes the median of seven windows of 100 ms of timed work. Only `run` is timed: a clock read per run costs about 50 ns, so a
 * run should take 10 µs or more.
 */
export function measure(work: Work): void {
  const { units, prepare = () => {}, run, check } = work;
  let runs = 0;
  const window = (nanos: number): number => {
    let timed = 0;
    let count = 0;
    while (timed < nanos) {
      prepare();
      const start = performance.now();
      run();
      timed += (performance.now() - start) * 1e6;
      count++;
    }
    runs += count;
    return timed / (count * units);
  };
  window(WARM_UP_NANOS);
  const values: number[] = [];
  for (let index = 0; index < WINDOWS; index++) values.push(window(WINDOW_NANOS));
  check(runs);
  values.sort((one, other) => one - other);
  process.stdout.write(`${JSON.stringify({ nanos: values[WINDOWS >> 1] })}\n`);
}

/** @throws Error */
export function expectEqual(what: string, actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`${what}: ${actual}, expected ${expected}`);
}
