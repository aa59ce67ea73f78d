/** The engine's numbers of uplinks: kept for what the record says until all of it is made again. */
import { expect, test } from 'vitest';
import type { ControlContext } from '../../src/control/context.js';
import type { UplinkGuard } from '../../src/control/guard.js';
import { Uplinks } from '../../src/control/uplinks.js';

const makeUplinks = () => new Uplinks({} as ControlContext, () => ({}) as UplinkGuard);

test('numbers of the record stay in the record until they are given up', () => {
  const uplinks = makeUplinks();
  const saved = [
    { interface: 'eth0', number: 3 },
    { interface: 'eth1', number: 0 },
  ];
  uplinks.restore(saved);
  expect(uplinks.saved()).toEqual(saved);
  uplinks.restored();
  expect(uplinks.saved()).toEqual([]);
});

test('a number two have, or nobody can have, is given to the first, or to nobody', () => {
  const uplinks = makeUplinks();
  uplinks.restore([
    { interface: 'eth0', number: 3 },
    { interface: 'eth1', number: 3 },
    { interface: 'eth2', number: 16 },
  ]);
  expect(uplinks.saved()).toEqual([{ interface: 'eth0', number: 3 }]);
});
