/**
 * Nothing half made is left behind: each step that makes something says how to unmake it; on failure the steps made so far are undone in
 * reverse, on success they are forgotten.
 */
export class Undo {
  private readonly steps: (() => void | Promise<void>)[] = [];
  private readonly onError: (error: unknown) => void;

  /** @param onError told about a step that could not be undone; the others still are */
  constructor(onError: (error: unknown) => void) {
    this.onError = onError;
  }

  add(step: () => void | Promise<void>): void {
    this.steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.steps.pop(); step !== undefined; step = this.steps.pop()) {
      try {
        await step();
      } catch (error) {
        this.onError(error);
      }
    }
  }
}

/** Runs `attempt`; when it throws, what it added to its Undo is undone before the error goes on. */
export async function allOrNothing<T>(onError: (error: unknown) => void, attempt: (undo: Undo) => Promise<T>): Promise<T> {
  const undo = new Undo(onError);
  try {
    return await attempt(undo);
  } catch (error) {
    await undo.run();
    throw error;
  }
}
