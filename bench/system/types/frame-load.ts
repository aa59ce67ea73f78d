/** Raw frames between a and b, from and to addresses of our own: what the types about tables and flooding are made of. */
import type { LabHost } from '../../../dist/lab/lab-host.js';
import type { MacRange } from '../../../dist/lab/traffic.js';
import type { SparePort } from '../driver.js';
import type { Trial } from '../type.js';
import { BURST, IDLE_MILLIS, type LoadResult, loadResult, nextToken, START_MILLIS } from './udp-load.js';

const IFNAME = 'eth0';
/** "64" with the frame check sequence. */
export const SMALL_FRAME_BYTES = 60;
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** Locally administered addresses of the bench, far from those of interfaces. */
export function macs(first: number, count: number): MacRange {
  const digits = (0x0254_0000_0000 + first).toString(16).padStart(12, '0');
  return { first: digits.match(/../g)?.join(':') ?? '', count };
}

export function macOf(host: LabHost): string {
  const mac = host.namespace.interfaces().find(({ name }) => name === IFNAME)?.mac;
  if (mac === undefined) throw new Error(`host ${host.name} has no ${IFNAME}`);
  return mac;
}

export interface FrameLoad {
  from: LabHost;
  to: LabHost;
  source: MacRange;
  destination: MacRange;
  seconds: number;
  /** 0: until the time is over. */
  frames?: number;
  /** Frames a second. Default 0: as many as the sender can. */
  rate?: number;
  /** An interface that should not get any of them. */
  third?: { host: LabHost; ifname: string };
}

export interface FrameLoadResult extends LoadResult {
  /** Frames of this step that came to the third interface. */
  flooded: number;
}

/** Sends at one host, counts at the other, whatever the frames' destination. */
export async function offerFrames(load: FrameLoad): Promise<FrameLoadResult> {
  const { from, to, source, destination, seconds, frames = 0, rate = 0, third } = load;
  const shared = { frameBytes: SMALL_FRAME_BYTES, token: nextToken() };
  await to.request('traffic-frame-bind', { ifname: IFNAME });
  // What comes there waits in the socket until all is over; what does not fit is counted.
  await third?.host.request('traffic-frame-bind', { ifname: third.ifname });
  const receiving = to.request('traffic-frame-receive', {
    ...shared,
    ifname: IFNAME,
    startMillis: START_MILLIS,
    idleMillis: IDLE_MILLIS,
    limitMillis: seconds * 1000 + START_MILLIS,
  });
  receiving.catch(() => {});
  const sent = await from.request('traffic-frame-send', {
    ...shared,
    ifname: IFNAME,
    source,
    destination,
    burst: BURST,
    durationMillis: seconds * 1000,
    frames,
    framesPerSecond: rate,
  });
  const result = loadResult(sent, await receiving);
  if (third === undefined) return { ...result, flooded: 0 };
  const waiting = { ifname: third.ifname, startMillis: 1, idleMillis: 1, limitMillis: START_MILLIS };
  const seen = await third.host.request('traffic-frame-receive', { ...shared, ...waiting });
  return { ...result, flooded: seen.frames + seen.dropped };
}

/** The first spare port. */
export function thirdOf({ spare, spareHost }: Trial): { host: LabHost; ifname: string } {
  if (spareHost === undefined) throw new Error('there is no third port');
  return { host: spareHost, ifname: spare[0].ifname };
}

/** Frames the spare ports' interfaces have got, in their order. */
export function spareFrames(spare: readonly SparePort[]): number[] {
  const namespaces = new Set(spare.map(({ namespace }) => namespace));
  const counts = new Map(
    [...namespaces].map((each) => [each, new Map(each.interfaces().map((link) => [link.name, link.rxPackets]))]),
  );
  return spare.map(({ namespace, ifname }) => counts.get(namespace)?.get(ifname) ?? 0);
}

const TABLE_RATE = 50_000;
const TRIES = 4;

/** Makes a driver learn addresses at host `at`: frames from all of them, to the other host, until all arrive in one go. */
export async function learn({ a, b }: Trial, at: LabHost, range: MacRange): Promise<void> {
  const to = at === a ? b : a;
  let rate = TABLE_RATE;
  for (let left = TRIES; left > 0; left--) {
    const seconds = (range.count / rate) * 2 + 1;
    const { lost } = await offerFrames({
      ...{ from: at, to, source: range, destination: { first: macOf(to), count: 1 } },
      ...{ seconds, frames: range.count, rate },
    });
    if (lost === 0) return;
    rate /= 2;
  }
  throw new Error(`frames from ${range.count} addresses do not arrive without loss, even at ${Math.round(rate * 2)} a second`);
}
