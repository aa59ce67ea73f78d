/** What the gateway's control plane does by itself, in the background, and what it tells the classic guard. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ClassicRules } from '../../src/control/classic-guard.js';
import type { ControlContext } from '../../src/control/context.js';
import { Gateway } from '../../src/control/gateway.js';
import { SILENT } from '../../src/control/log.js';
import type { NatOptions } from '../../src/control/nat-options.js';
import { Serial } from '../../src/control/serial.js';
import { type Uplink, Uplinks } from '../../src/control/uplinks.js';

let errors: unknown[];
let context: ControlContext;
let serial: Serial;
let gateway: Gateway;

beforeEach(() => {
  errors = [];
  const log = { ...SILENT, error: (fields: object, message: string) => void errors.push({ ...fields, message }) };
  const store = { save: vi.fn() };
  context = { log, store, bridges: new Map(), restoring: null, changes: { list: [] } } as unknown as ControlContext;
  serial = new Serial();
  gateway = new Gateway(context, serial, { ranges: [[32_768, 60_999]] } as unknown as NatOptions);
  context.gateway = gateway;
});
afterEach(() => void vi.restoreAllMocks());

describe('a change of the network', () => {
  /** An uplink failed, and all that follows from it is done. */
  async function failUplink(): Promise<void> {
    vi.spyOn(Uplinks.prototype, 'atPort').mockReturnValue({ name: 'eth0' } as Uplink);
    gateway.failed(3, -100);
    await serial.run(async () => {});
  }

  function failSaving(): void {
    vi.mocked((context.store as NonNullable<ControlContext['store']>).save).mockImplementation(() => {
      throw new Error('ENOSPC: no space left on device');
    });
  }

  const saving = { reason: 'ENOSPC: no space left on device', message: 'cannot write the record after a change of the network' };

  test('the record cannot be written: the log says so', async () => {
    failSaving();
    await failUplink();
    expect(errors).toEqual([saving]);
  });

  test('it cannot be followed: the record is written all the same, and each failure is told', async () => {
    vi.spyOn(gateway, 'update').mockRejectedValue(new Error('no memory'));
    await failUplink();
    expect(context.store?.save).toHaveBeenCalledTimes(1);
    failSaving();
    await failUplink();
    const following = { reason: 'no memory', message: 'cannot follow a change of the network' };
    expect(errors).toEqual([following, following, saving]);
  });
});

test('rules that failed midway do not pass for those before: the guard is told these again', () => {
  const setRules = vi.fn<(rules: ClassicRules) => void>();
  (gateway as unknown as { guard: unknown }).guard = { map: -1, setRules };
  gateway.sendRules();
  gateway.sendRules();
  expect(setRules).toHaveBeenCalledTimes(1);
  const publish = { protocol: 'tcp', hostAddress: 0, hostPort: 80, count: 1 };
  const bridge = { publishes: [publish] };
  context.bridges.set('tb0', bridge as never);
  setRules.mockImplementationOnce(() => {
    throw new Error('cannot change the filter of eth1');
  });
  expect(() => gateway.sendRules()).toThrow('cannot change the filter of eth1');
  bridge.publishes = [];
  gateway.sendRules();
  expect(setRules).toHaveBeenCalledTimes(3);
  expect(setRules.mock.lastCall).toEqual(setRules.mock.calls[0]);
});
