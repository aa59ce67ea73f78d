/** What a step of the demo is, and how it says that something did not happen. */
import type { Shown } from './report.js';
import type { Stage } from './stage.js';

export interface Step {
  title: string;
  /** @throws Error that says what did not happen */
  run(stage: Stage): Promise<Shown>;
}

export function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
