import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { PORT_COUNTERS } from '../../src/core/counters.js';
import { txCounterOf } from '../../src/engine/errno-policy.js';

const { errno } = constants;
const EBADFD = 77;

const policy: [keyof typeof errno | 'EBADFD', string][] = [
  ['EAGAIN', 'tx_full'],
  ['ENOBUFS', 'tx_full'],
  ['ENOMEM', 'tx_full'],
  ['EMSGSIZE', 'tx_too_big'],
  ['EIO', 'tx_port_down'],
  ['ENETDOWN', 'tx_port_down'],
  ['ENXIO', 'tx_port_down'],
  ['ENODEV', 'tx_port_down'],
  ['EBADF', 'tx_port_down'],
  ['EBADFD', 'tx_port_down'],
  ['EINVAL', 'tx_refused'],
  ['EPERM', 'tx_refused'],
];

for (const [name, counter] of policy) {
  test(`a send that fails with ${name} counts as ${counter}`, () => {
    expect(PORT_COUNTERS[txCounterOf(name === 'EBADFD' ? EBADFD : errno[name])]).toBe(counter);
  });
}
