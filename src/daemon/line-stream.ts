/**
 * Answers of any length as newline-delimited JSON: one value a line, nothing held but the page that is being sent.
 *
 * A listing is pulled: its next page is asked for when the reader has taken the one before, so a slow reader costs one page.
 * Events come by themselves: those a slow reader leaves behind wait up to a bound, further ones are counted and told in a line of their own.
 */
import type { FlowEvent } from '../control/model.js';

/** Waiting events at most, about 400 bytes each as text. */
export const MAX_WAITING = 8192;

const encoder = new TextEncoder();

/** Lines of a listing; its first page was asked for already, so that what is wrong with the request is a plain answer. */
export function pagesAsLines<T>(first: IteratorResult<T[], unknown>, pages: AsyncGenerator<T[]>): ReadableStream<Uint8Array> {
  let held: IteratorResult<T[], unknown> | undefined = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // Enqueuing nothing would leave the reader waiting for a pull that never comes: empty pages are passed over.
        for (;;) {
          const { done, value } = held ?? (await pages.next());
          held = undefined;
          if (done === true) return controller.close();
          if (value.length > 0) return controller.enqueue(encoder.encode(lines(value)));
        }
      },
      cancel: async () => void (await pages.return(undefined)),
    },
    { highWaterMark: 0 },
  );
}

/** Lines of events as they come, until the reader leaves. */
export class EventLines {
  readonly stream: ReadableStream<Uint8Array>;
  private waiting: FlowEvent[] = [];
  private lost = 0;
  private wake: (() => void) | undefined;
  private source: { close(): void } | undefined;
  private closed = false;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>(
      { pull: (controller) => this.pull(controller), cancel: () => this.close() },
      { highWaterMark: 0 },
    );
  }

  /** What is ended when the reader leaves. */
  endWith(source: { close(): void }): void {
    this.source = source;
    if (this.closed) source.close();
  }

  readonly take = (events: readonly FlowEvent[]): void => {
    if (this.closed) return;
    const room = MAX_WAITING - this.waiting.length;
    if (events.length <= room) this.waiting.push(...events);
    else {
      this.waiting.push(...events.slice(0, room));
      this.lost += events.length - room;
    }
    this.wake?.();
  };

  private async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.waiting.length === 0 && !this.closed) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    if (this.closed) return;
    const events = this.waiting;
    if (this.lost > 0) events.push({ event: 'lost', lost: this.lost });
    this.waiting = [];
    this.lost = 0;
    controller.enqueue(encoder.encode(lines(events)));
  }

  private close(): void {
    this.closed = true;
    this.source?.close();
    this.wake?.();
  }
}

function lines(values: readonly unknown[]): string {
  let text = '';
  for (const value of values) text += `${JSON.stringify(value)}\n`;
  return text;
}
