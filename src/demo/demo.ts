/** The demo: the stage, the steps one after the other, and the end of it all, whatever happens. */
import type { Lab } from '../lab/lab.js';
import { duration, Report } from './report.js';
import { STEPS } from './scenario.js';
import { Stage } from './stage.js';

export interface DemoOptions {
  write(line: string): void;
  /** Check marks and colours. */
  terminal: boolean;
}

export class Demo {
  readonly report: Report;
  private lab: Lab | undefined;
  private opened: Stage | undefined;
  private closing = false;

  constructor({ write, terminal }: DemoOptions) {
    this.report = new Report(write, terminal);
  }

  /** Runs the steps until one fails. Returns whether none did. */
  async run(): Promise<boolean> {
    const start = performance.now();
    this.report.title('tapbridge demo: two containers and a host on one bridge, and a host outside');
    this.report.text('All of it in network namespaces of its own; the network of this machine is not touched.');
    this.report.text();
    if (!(await this.step('lab built', () => this.open()))) return false;
    for (const { title, run } of STEPS) {
      if (!(await this.step(title, () => run(this.stage)))) return false;
    }
    this.report.table();
    this.report.text();
    this.report.text(`All of it worked, in ${duration(performance.now() - start)}.`);
    return true;
  }

  /** What the steps played on. */
  get stage(): Stage {
    if (this.opened === undefined) throw new Error('there is no lab');
    return this.opened;
  }

  /** Ends what the demo started. Idempotent; a step that is still running fails, unreported. */
  async close(): Promise<void> {
    this.closing = true;
    await this.lab?.close();
    await this.opened?.close();
  }

  private async open() {
    this.opened = await Stage.open((lab) => {
      this.lab = lab;
    });
    const { host, web, db, outside } = this.opened;
    return {
      figure: '4 namespaces',
      evidence: [host, web, db, outside].map(
        ({ name, pid, namespace }) => `${name}: namespace ${namespace.path}, process ${pid}`,
      ),
    };
  }

  private async step(title: string, run: () => ReturnType<(typeof STEPS)[number]['run']>): Promise<boolean> {
    const start = performance.now();
    try {
      const shown = await run();
      if (!this.closing) this.report.ok(title, performance.now() - start, shown);
      return !this.closing;
    } catch (error) {
      if (!this.closing) {
        const said = this.opened?.logTail() ?? [];
        const tail = said.length === 0 ? [] : ['the daemon said last:', ...said];
        this.report.failed(title, performance.now() - start, (error as Error).message, tail);
      }
      return false;
    }
  }
}
