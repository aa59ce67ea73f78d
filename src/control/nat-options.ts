/** What the configuration says about NAT and connection tracking, and what the engine is told of it. */
import { TIMEOUT_CLASSES, TIMEOUTS_KERNEL, TIMEOUTS_RFC, type TimeoutName } from '../conntrack/timeouts.js';
import type { NatSettings } from '../engine/protocol.js';
import { ControlError } from './control-error.js';
import type { GuardSetting } from './guard.js';
import { ephemeralPorts } from './host-sockets.js';
import { checkRange } from './limits.js';
import type { Log } from './log.js';

export const FLOW_LIMIT = { min: 64, max: 4_194_304 } as const;
const SECONDS = { min: 0, max: 31_536_000 } as const;
const PORT = { min: 1, max: 65_535 } as const;
/** Below it lie the ports services listen on; senders with a port below 1024 get one of 600 to 1023 (N10). */
const FIRST_HIGH = 8192;
const LOW: readonly [number, number] = [600, 1023];

export interface NatOptions {
  /** Flows at once. */
  flowLimit: number;
  /** The part of them one port may have, 0 to 1. */
  flowShare: number;
  filter: NatSettings['filter'];
  /** Ports SNAT hands out; null: the upper ones outside of the host's ephemeral range. */
  ranges: readonly (readonly [number, number])[] | null;
  profile: 'rfc' | 'kernel';
  /** Seconds by timeout class, over those of the profile. */
  timeouts: Readonly<Record<string, number>>;
  loose: boolean;
  liberal: boolean;
  guard: GuardSetting;
}

export const DEFAULT_NAT_OPTIONS: NatOptions = {
  flowLimit: 262_144,
  flowShare: 0.25,
  filter: 'apdf',
  ranges: null,
  profile: 'rfc',
  timeouts: {},
  loose: true,
  liberal: false,
  guard: 'auto',
};

/** @throws ControlError that names the setting */
export function checkNatOptions(options: NatOptions): void {
  checkRange('nat.flowLimit', options.flowLimit, FLOW_LIMIT);
  if (!(options.flowShare > 0 && options.flowShare <= 1)) {
    throw new ControlError('invalid', `nat.flowShare is a part from above 0 to 1, not ${options.flowShare}`);
  }
  for (const [name, seconds] of Object.entries(options.timeouts)) {
    if (!TIMEOUT_CLASSES.includes(name as TimeoutName)) {
      throw new ControlError('invalid', `nat.timeouts: there is no ${name}`, `there are: ${TIMEOUT_CLASSES.join(', ')}`);
    }
    checkRange(`nat.timeouts.${name}`, seconds, SECONDS);
  }
  for (const [first, last] of options.ranges ?? []) {
    checkRange('a port of nat.ranges', first, PORT);
    checkRange('a port of nat.ranges', last, PORT);
    if (last < first) throw new ControlError('invalid', `nat.ranges: ${first}-${last} ends before it begins`);
  }
  if (options.ranges?.length === 0) throw new ControlError('invalid', 'nat.ranges is empty', 'leave it out for the default');
}

/** Flows one port may have. */
export function shareOf({ flowLimit, flowShare }: NatOptions): number {
  return Math.max(1, Math.floor(flowLimit * flowShare));
}

/** @param log told of ranges that are the host's, too */
export function natSettings(options: NatOptions, log?: Log): NatSettings {
  const { filter, loose, liberal } = options;
  const [first, last] = ephemeralPorts();
  const shared = (options.ranges ?? []).find((range) => range[0] <= last && first <= range[1]);
  if (shared !== undefined) {
    const what = `nat.ranges has ${shared.join('-')}, and the host takes ports from ${first} to ${last} for its own connections`;
    log?.warn({ ranges: options.ranges }, `${what}: choose others, or change net.ipv4.ip_local_port_range`);
  }
  return { filter, ranges: options.ranges ?? defaultRanges(first, last), timeouts: timeoutsOf(options), loose, liberal };
}

/** Seconds by timeout class. */
export function timeoutsOf({ profile, timeouts }: NatOptions): Record<string, number> {
  return { ...(profile === 'rfc' ? TIMEOUTS_RFC : TIMEOUTS_KERNEL), ...timeouts };
}

/** The upper ports but the host's ephemeral ones, and those for low senders. */
export function defaultRanges(first: number, last: number): [number, number][] {
  const upper: [number, number][] = [
    [FIRST_HIGH, Math.min(first - 1, PORT.max)],
    [Math.max(last + 1, FIRST_HIGH), PORT.max],
  ];
  return [[...LOW], ...upper.filter(([from, to]) => from <= to)];
}
