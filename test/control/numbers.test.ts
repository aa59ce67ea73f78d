import { expect, test } from 'vitest';
import { Numbers } from '../../src/control/numbers.js';

test('reserve: a number of the record is nobody else’s until it is given back', () => {
  const numbers = new Numbers(3);
  expect(numbers.reserve(1)).toBe(true);
  expect([numbers.take(), numbers.take(), numbers.take()]).toEqual([0, 2, -1]);
  numbers.free(1);
  expect(numbers.take()).toBe(1);
});

test.each([[-1], [3], [1.5], [Number.NaN]])('reserve: %s is none', (number) => {
  expect(new Numbers(3).reserve(number)).toBe(false);
});

test('reserve: twice the same is refused, and what was taken is', () => {
  const numbers = new Numbers(3);
  expect([numbers.reserve(2), numbers.reserve(2)]).toEqual([true, false]);
  expect(numbers.reserve(numbers.take())).toBe(false);
});
