import { describe, expect, test } from 'vitest';
import { Numbers } from '../../src/control/numbers.js';
import { Serial } from '../../src/control/serial.js';
import { allOrNothing } from '../../src/control/undo.js';

describe('all or nothing', () => {
  test('failure: steps are undone in reverse, one that fails does not stop the others, the error goes on', async () => {
    const undone: string[] = [];
    const errors: unknown[] = [];
    const attempt = allOrNothing(
      (error) => errors.push((error as Error).message),
      async (undo) => {
        undo.add(() => void undone.push('first'));
        undo.add(async () => {
          throw new Error('stuck');
        });
        undo.add(async () => void undone.push('third'));
        throw new Error('no');
      },
    );
    await expect(attempt).rejects.toThrow('no');
    expect(undone).toEqual(['third', 'first']);
    expect(errors).toEqual(['stuck']);
  });

  test('success: nothing is undone', async () => {
    const undone: string[] = [];
    const attempt = allOrNothing(
      () => {},
      async (undo) => {
        undo.add(() => void undone.push('x'));
        return 7;
      },
    );
    expect(await attempt).toBe(7);
    expect(undone).toEqual([]);
  });
});

test('serial: the next change begins when the one before ended, also in failure', async () => {
  const serial = new Serial();
  const order: string[] = [];
  const slow = serial.run(async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    order.push('slow');
    throw new Error('failed');
  });
  const quick = serial.run(async () => order.push('quick'));
  await expect(slow).rejects.toThrow('failed');
  await quick;
  expect(order).toEqual(['slow', 'quick']);
});

test('numbers: each once, a freed one last, -1 when there is none', () => {
  const numbers = new Numbers(3);
  expect([numbers.take(), numbers.take()]).toEqual([0, 1]);
  numbers.free(0);
  expect([numbers.take(), numbers.take(), numbers.take()]).toEqual([2, 0, -1]);
});
