import { defineConfig } from 'vitest/config';

const common = {
  pool: 'forks',
  testTimeout: 20_000,
  hookTimeout: 30_000,
  // What is bound to happen may take its time on a busy machine.
  expect: { poll: { timeout: 10_000 } },
} as const;

export default defineConfig({
  test: {
    projects: [
      { test: { ...common, name: 'tests', include: ['test/**/*.test.ts'], exclude: ['test/engines/**'] } },
      // Real engines one after the other, and with the machine for themselves: each brings dozens of processes.
      {
        test: {
          ...common,
          name: 'engines',
          include: ['test/engines/**/*.test.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
