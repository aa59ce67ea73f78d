/** What the demo prints: a line a step, evidence under it, a table at the end. Check marks and colours only for a terminal. */
import pc from 'picocolors';

/** What a step has shown. */
export interface Shown {
  /** The one number or word for the table. */
  figure: string;
  /** Lines to believe it by. */
  evidence?: readonly string[];
}

export interface StepResult {
  step: string;
  ok: boolean;
  millis: number;
  /** Of a failed step: why. */
  figure: string;
  evidence: readonly string[];
}

const TITLE_WIDTH = 44;

export class Report {
  readonly results: StepResult[] = [];
  private readonly write: (line: string) => void;
  private readonly paint: ReturnType<typeof pc.createColors>;
  private readonly marks: { ok: string; failed: string };

  constructor(write: (line: string) => void, terminal: boolean) {
    this.write = write;
    this.paint = pc.createColors(terminal && !process.env['NO_COLOR']);
    this.marks = terminal ? { ok: '✔', failed: '✘' } : { ok: 'ok', failed: 'FAILED' };
  }

  title(text: string): void {
    this.write(this.paint.bold(text));
  }

  text(text = ''): void {
    this.write(text);
  }

  /** A step that did what it should. */
  ok(step: string, millis: number, { figure, evidence = [] }: Shown): void {
    this.results.push({ step, ok: true, millis, figure, evidence });
    this.write(`${this.paint.green(this.marks.ok)} ${step.padEnd(TITLE_WIDTH)} ${this.paint.dim(duration(millis).padStart(8))}`);
    this.indented(evidence);
  }

  /** A step that did not. */
  failed(step: string, millis: number, reason: string, evidence: readonly string[]): void {
    this.results.push({ step, ok: false, millis, figure: reason, evidence });
    this.write(`${this.paint.red(this.marks.failed)} ${step}: ${reason}`);
    this.indented(evidence);
  }

  /** Step, result, figure. */
  table(): void {
    const rows = this.results.map(({ step, ok, figure }) => [step, ok ? this.marks.ok : this.marks.failed, figure]);
    const lines = columns([['step', 'result', 'figure'], ...rows]);
    this.write('');
    this.write(this.paint.bold(lines[0]));
    for (const line of lines.slice(1)) this.write(line);
  }

  private indented(lines: readonly string[]): void {
    for (const line of lines) this.write(this.paint.dim(`    ${line}`));
  }
}

/** Rows as lines, columns aligned. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
}

/** '3.2 ms', '1.20 s'. */
export function duration(millis: number): string {
  if (millis >= 1000) return `${(millis / 1000).toFixed(2)} s`;
  return `${millis.toFixed(millis < 10 ? 1 : 0)} ms`;
}
