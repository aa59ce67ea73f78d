/** What the bench's table types rest on: frames to unknown addresses show at the third port of a bridge, frames to learned ones do not. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { kernelBridge } from '../../bench/system/drivers/kernel-bridge.js';
import type { Trial } from '../../bench/system/type.js';
import { broadcastOver } from '../../bench/system/types/broadcast.js';
import { learn, macOf, macs, offerFrames, thirdOf } from '../../bench/system/types/frame-load.js';
import { Lab } from '../../dist/lab/lab.js';
import { describeSystem } from '../helpers/requirements.js';

describeSystem('bench: raw frames over a bridge of three ports', ['root'], () => {
  let lab: Lab;
  let trial: Trial;

  beforeEach(async () => {
    lab = Lab.create('tbframes');
    const [a, b, spareHost] = await Promise.all([lab.host('a'), lab.host('b'), lab.host('spare')]);
    for (const host of [a, b, spareHost]) await host.sysctl('net/ipv6/conf/default/disable_ipv6', 1);
    const wiring = { a, b, spare: [{ namespace: spareHost.namespace, ifname: 's1' }] };
    trial = { lab, ...wiring, spareHost, ...(await kernelBridge.connect(lab, wiring)), seconds: 5 };
    await a.ping({ address: trial.addressOfB, count: 1 });
  });
  afterEach(() => lab.close());

  test('flooded before they are learned, not after', async () => {
    const { a, b } = trial;
    const destination = macs(0, 500);
    const asking = {
      ...{ from: b, to: a, source: { first: macOf(b), count: 1 }, destination, third: thirdOf(trial) },
      ...{ seconds: 5, frames: 500, rate: 10_000 },
    };
    expect(await offerFrames(asking)).toMatchObject({ delivered: 500, flooded: 500 });
    await learn(trial, a, macs(0, 400));
    expect(await offerFrames(asking)).toMatchObject({ delivered: 500, flooded: 100 });
  });

  test('a broadcast is delivered once to each port but its own', async () => {
    const { details } = await broadcastOver(trial, 1000);
    expect(details).toMatchObject({ offered: 1000, lost: 0 });
    // The interfaces also count the bridge's own few frames.
    expect(details['leastOfAPort']).toBeGreaterThanOrEqual(1000);
    expect(details['mostOfAPort']).toBeLessThan(1020);
  });
});
