/** A step of UDP load from a to b: what the UDP types are made of. */
import { setTimeout as sleep } from 'node:timers/promises';
import { delayQuantile } from '../../../dist/lab/delay-histogram.js';
import type { LabHost } from '../../../dist/lab/lab-host.js';
import type { DelayReport, TrafficReport } from '../../../dist/lab/traffic.js';
import { isTold } from '../../statistics.js';
import type { DelayBuckets, Trial } from '../type.js';

const PORT = 5001;
/** How long a sink waits for the first one. */
export const START_MILLIS = 3000;
/** Silence after which nothing more is on its way: the sink ends, and `loadResult` knows it. */
export const IDLE_MILLIS = 100;
/** The sender's own address. */
const OWN_SOURCE = '0.0.0.0';
/** Datagrams a system call. */
export const BURST = 64;
/** 60-byte frames on a TAP, "64" with the frame check sequence of RFC 2544. */
export const SMALL_PAYLOAD_BYTES = 18;

export interface Load {
  seconds: number;
  /** Default 18. */
  payloadBytes?: number;
  /** Default 1. */
  flows?: number;
  /** Flows differ by their destination, this address and those that follow, all of which are b's; default: by their source. */
  toward?: string;
  /** Datagrams a second. Default 0: as many as the sender can. */
  rate?: number;
  /** Ends it before its time. Default 0: no such end. */
  frames?: number;
  /** Checks every byte of the payload. Default false, for the highest rates: the sink would be what is measured. */
  integrity?: boolean;
}

export interface LoadResult {
  offeredKpps: number;
  deliveredKpps: number;
  delivered: number;
  lost: number;
  /** 0 … 1 of what was offered. */
  loss: number;
  delays: DelayBuckets;
  /** What a type of throughput keeps. */
  details: Record<string, number>;
}

/** What marks datagrams and frames of one step: the step before may have left some on the way. */
let token = process.pid & 0xffff;
export function nextToken(): number {
  token = (token + 1) & 0xffff;
  return token;
}

/** Sends from a to b and counts at b. */
export async function offerLoad({ a, b, addressOfB }: Trial, load: Load): Promise<LoadResult> {
  const { seconds, payloadBytes = SMALL_PAYLOAD_BYTES, flows = 1, toward, rate = 0, frames = 0, integrity = false } = load;
  const shared = { flows, payloadBytes, integrity, token: nextToken() };
  await b.request('traffic-udp-bind', { port: PORT });
  const receiving = b.request('traffic-udp-receive', {
    ...shared,
    port: PORT,
    startMillis: START_MILLIS,
    idleMillis: IDLE_MILLIS,
    limitMillis: seconds * 1000 + START_MILLIS,
  });
  receiving.catch(() => {});
  const sent = await a.request('traffic-udp-send', {
    ...shared,
    address: toward ?? addressOfB,
    port: PORT,
    ...(toward === undefined ? {} : { source: OWN_SOURCE }),
    burst: BURST,
    durationMillis: seconds * 1000,
    frames,
    framesPerSecond: rate,
  });
  return loadResult(sent, await receiving);
}

/** What both ends of a step counted, together. */
export function loadResult(sent: TrafficReport, received: DelayReport): LoadResult {
  const lost = sent.frames - received.frames;
  const offeredKpps = (sent.frames / sent.micros) * 1000;
  // A sink that heard nothing for so long has ended while the sender went on: what came later is lost, and the silence is part of the rate.
  const silent = received.micros + IDLE_MILLIS * 1000 < sent.micros;
  const micros = silent ? sent.micros : received.micros;
  return {
    offeredKpps,
    // A single burst has no duration.
    deliveredKpps: micros > 0 ? (received.frames / micros) * 1000 : 0,
    delivered: received.frames,
    lost,
    loss: sent.frames > 0 ? lost / sent.frames : 0,
    delays: received.delays,
    details: {
      offered: sent.frames,
      offeredKpps,
      refused: sent.refused,
      lost,
      lostBySink: received.dropped,
      reordered: received.reordered,
      duplicated: received.duplicated,
      corrupt: received.corrupt,
      foreign: received.foreign,
      silent: silent ? 1 : 0,
      senderCores: sent.cpuMicros / sent.micros,
      sinkCores: received.micros > 0 ? received.cpuMicros / received.micros : 0,
    },
  };
}

/** Percentiles in microseconds; beyond the median only those that enough samples lie beyond. */
export function delayDetails(delays: DelayBuckets): Record<string, number> {
  const count = delays.reduce((sum, [, each]) => sum + each, 0);
  const shares: [string, number][] = [
    ['p50Micros', 0.5],
    ['p90Micros', 0.9],
    ['p99Micros', 0.99],
    ['p999Micros', 0.999],
    ['p9999Micros', 0.9999],
  ];
  const supported = shares.filter(([, share]) => share <= 0.5 || isTold(count, share));
  return Object.fromEntries([
    ...supported.map(([name, share]) => [name, delayQuantile(delays, share) / 1000] as const),
    ['maxMicros', (delays.at(-1)?.[0] ?? Number.NaN) / 1000],
    ['samples', count],
  ]);
}

const WARM_UP_SECONDS = 0.3;
const CALIBRATION_SECONDS = 1;
const SETTLE_MILLIS = 200;
const maxima = new WeakMap<LabHost, LoadResult>();

/** What the driver delivers of 18-byte datagrams when offered more, measured once a trial, warm. */
export async function ownMaximum(trial: Trial): Promise<LoadResult> {
  const known = maxima.get(trial.a);
  if (known !== undefined) return known;
  await offerLoad(trial, { seconds: WARM_UP_SECONDS });
  const maximum = await offerLoad(trial, { seconds: Math.min(CALIBRATION_SECONDS, trial.seconds) });
  if (maximum.delivered === 0) throw new Error('nothing was delivered');
  maxima.set(trial.a, maximum);
  await sleep(SETTLE_MILLIS);
  return maximum;
}
