/** What a campaign will do: options checked, drivers that cannot run here and pairs that do not go together left out, with the reason. */
import { UsageError } from '../../dist/cli/failure.js';
import { whyCoresSleep } from '../../dist/engine/awake.js';
import type { Driver } from './driver.js';
import {
  DEFAULT_DRIVERS,
  DEFAULT_NAT_DRIVERS,
  DEFAULT_NAT_TYPES,
  DEFAULT_TYPES,
  DRIVERS,
  driversIn,
  QUICK_TYPES,
  SETS,
  type SetName,
  setOf,
  TYPES,
  typesIn,
} from './matrix.js';
import { findProgram } from './programs.js';
import type { Campaign } from './result.js';
import { type BenchType, WARM_UP_SHARE } from './type.js';

export interface BenchOptions {
  /** What to choose from when drivers or types are not named. Default: by what is named, else 'bridge'. */
  set?: string;
  drivers?: string;
  types?: string;
  rounds?: number;
  seconds?: number;
  quick?: boolean;
  full?: boolean;
  aa?: boolean;
}

/** A driver in the campaign; `label` is another name for the reference's second turn. */
export interface Entrant {
  label: string;
  driver: Driver;
}

export interface Plan {
  rounds: number;
  seconds: number;
  entrants: readonly Entrant[];
  types: readonly BenchType[];
  missing: Campaign['missing'];
  reference: string;
  command: string;
}

/** Whether a pair is in the plan. */
function isPlanned({ missing }: Plan, { driver }: Entrant, type: BenchType): boolean {
  return !missing.some((pair) => pair.driver === driver.name && pair.type === type.name);
}

interface Preset {
  rounds: number;
  seconds: number;
  drivers: readonly string[];
  types: readonly string[];
  aa: boolean;
}

const [DOCKER_DRIVERS, DOCKER_NAT_DRIVERS] = [driversIn('docker'), driversIn('docker-nat')];
const [NAT_TYPES, DOCKER_NAT_TYPES] = [typesIn('nat'), typesIn('docker-nat')];
const PRESETS: Record<SetName, Record<'default' | 'quick' | 'full', Preset>> = {
  bridge: {
    default: { rounds: 6, seconds: 0.5, drivers: DEFAULT_DRIVERS, types: DEFAULT_TYPES, aa: false },
    quick: { rounds: 3, seconds: 0.5, drivers: DEFAULT_DRIVERS, types: QUICK_TYPES, aa: false },
    full: { rounds: 6, seconds: 1, drivers: driversIn('bridge'), types: typesIn('bridge'), aa: true },
  },
  nat: {
    default: { rounds: 6, seconds: 0.5, drivers: DEFAULT_NAT_DRIVERS, types: DEFAULT_NAT_TYPES, aa: false },
    quick: { rounds: 3, seconds: 0.5, drivers: DEFAULT_NAT_DRIVERS, types: ['nat-udp-64', 'nat-tcp-out', 'nat-ping'], aa: false },
    full: { rounds: 6, seconds: 1, drivers: driversIn('nat'), types: NAT_TYPES, aa: true },
  },
  docker: {
    default: { rounds: 6, seconds: 0.5, drivers: DOCKER_DRIVERS, types: DEFAULT_TYPES, aa: false },
    quick: { rounds: 3, seconds: 0.5, drivers: DOCKER_DRIVERS, types: QUICK_TYPES, aa: false },
    full: { rounds: 6, seconds: 1, drivers: DOCKER_DRIVERS, types: typesIn('docker'), aa: true },
  },
  'docker-nat': {
    default: { rounds: 6, seconds: 0.5, drivers: DOCKER_NAT_DRIVERS, types: DOCKER_NAT_TYPES, aa: false },
    quick: {
      rounds: 3,
      seconds: 0.5,
      drivers: DOCKER_NAT_DRIVERS,
      types: ['nat-tcp-in', 'requests-nginx', 'requests-redis'],
      aa: false,
    },
    full: { rounds: 6, seconds: 1, drivers: DOCKER_NAT_DRIVERS, types: DOCKER_NAT_TYPES, aa: true },
  },
};

const MAX_ROUNDS = 1000;
const MAX_SECONDS = 600;
/** Suffix of the reference's second turn in each round. */
export const AGAIN = '-again';

/** @throws UsageError for options that make no sense, Error when nothing is left to measure */
export function makePlan(options: BenchOptions, installed = isInstalled, refusal = whyCoresSleep): Plan {
  if (options.quick && options.full) throw new UsageError('--quick and --full exclude each other');
  const set = chooseSet(options);
  const preset = PRESETS[set][options.quick ? 'quick' : options.full ? 'full' : 'default'];
  const rounds = options.rounds ?? preset.rounds;
  const seconds = options.seconds ?? preset.seconds;
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS)
    throw new UsageError(`--rounds is a whole number from 1 to ${MAX_ROUNDS}, not ${rounds}`);
  if (!(seconds >= 0.1 && seconds <= MAX_SECONDS))
    throw new UsageError(`--seconds is a number from 0.1 to ${MAX_SECONDS}, not ${seconds}`);
  const missing: Campaign['missing'] = [];
  const drivers = chooseDrivers(options.drivers, preset.drivers, set).filter((driver) => {
    const why = absence(driver, installed, refusal);
    if (why !== null) missing.push({ driver: driver.name, why });
    return why === null;
  });
  if (drivers.length === 0)
    throw new Error(`no driver is left to measure: ${missing.map(({ driver, why }) => `${driver} ${why}`).join('; ')}`);
  const chosen = chooseTypes(options.types, preset.types, set);
  for (const type of chosen) {
    for (const driver of drivers) {
      const why = mismatch(driver, type) ?? absence(type, installed);
      if (why !== null) missing.push({ driver: driver.name, type: type.name, why });
    }
  }
  const types = chosen.filter((type) =>
    drivers.some(({ name }) => !missing.some((pair) => pair.driver === name && pair.type === type.name)),
  );
  if (types.length === 0)
    throw new Error(
      `nothing is left to measure: ${missing.map(({ driver, type, why }) => `${type ?? ''} ${driver} ${why}`.trim()).join('; ')}`,
    );
  const entrants = drivers.map((driver) => ({ label: driver.name, driver }));
  const reference = entrants[0];
  if (options.aa ?? preset.aa) entrants.splice(1, 0, { label: `${reference.label}${AGAIN}`, driver: reference.driver });
  return { rounds, seconds, entrants, types, missing, reference: reference.label, command: commandLine(options) };
}

/** Why this pair cannot be measured; null when it can. */
export function mismatch(driver: Driver, type: BenchType): string | null {
  if (type.nat === true && driver.nat !== true) return 'translates no addresses';
  if (type.nat !== true && driver.nat === true) return 'has b outside, which only types of the set nat measure';
  if (driver.layer > type.layer) return 'passes IP only, no frames';
  if (type.ping === true && !driver.ping) return 'passes no ICMP echoes';
  const ports = type.ports ?? 2;
  if (ports > driver.maxPorts) return `has ${driver.maxPorts} ports, ${ports} are needed`;
  return null;
}

/** Why this driver or type cannot run here; null when it can. */
export function absence(
  { needs, awake }: Pick<Driver, 'needs' | 'awake'>,
  installed = isInstalled,
  refusal = whyCoresSleep,
): string | null {
  const refused = awake === true ? refusal() : null;
  if (refused !== null) return refused;
  const lacking = needs?.filter(({ command }) => !installed(command)) ?? [];
  if (lacking.length === 0) return null;
  const packages = [...new Set(lacking.map((need) => need.package))].join(', ');
  return `needs ${lacking.map(({ command }) => command).join(' and ')} (Debian package ${packages})`;
}

function isInstalled(command: string): boolean {
  return findProgram(command) !== undefined;
}

/** The one that was named, else that of the drivers and types that were. */
function chooseSet({ set: name, drivers = '', types = '' }: BenchOptions): SetName {
  if (name === undefined) {
    const given = [...drivers.split(','), ...types.split(',')].map((each) => each.trim());
    const wanted = DRIVERS.filter((driver) => given.includes(driver.name)).map(setOf);
    const measured = TYPES.filter((type) => given.includes(type.name) || given.includes(type.family)).map(setOf);
    // A driver says more than a type, which the drivers of two sets may meet.
    return SETS.findLast((each) => wanted.includes(each)) ?? SETS.findLast((each) => measured.includes(each)) ?? 'bridge';
  }
  const set = SETS.find((each) => each === name);
  if (set === undefined) throw unknown('--set', name, SETS);
  return set;
}

function chooseDrivers(list: string | undefined, preset: readonly string[], set: SetName): Driver[] {
  return named('--drivers', list, preset, driversIn(set)).map((name) => {
    const driver = DRIVERS.find((each) => each.name === name);
    if (driver === undefined)
      throw unknown(
        '--drivers',
        name,
        DRIVERS.map((each) => each.name),
      );
    return driver;
  });
}

/** Types by name or by family, in the order of the report. */
function chooseTypes(list: string | undefined, preset: readonly string[], set: SetName): BenchType[] {
  const names = named('--types', list, preset, typesIn(set));
  for (const name of names) {
    if (!TYPES.some((type) => type.name === name || type.family === name)) {
      throw unknown('--types', name, [...new Set(TYPES.flatMap((type) => [type.name, type.family]))]);
    }
  }
  return TYPES.filter((type) => names.includes(type.name) || names.includes(type.family));
}

function named(option: string, list: string | undefined, preset: readonly string[], all: readonly string[]): readonly string[] {
  if (list === undefined) return preset;
  if (list === 'all') return all;
  const names = list.split(',').map((name) => name.trim());
  if (names.includes(''))
    throw new UsageError(`${option} is a list of names with commas between them, not ${JSON.stringify(list)}`);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new UsageError(`${option} has ${twice} twice`);
  return names;
}

function unknown(option: string, name: string, known: readonly string[]): UsageError {
  return new UsageError(`${option}: there is no ${JSON.stringify(name)}`, `there are ${known.join(', ')}`);
}

/** What to type to do it again. */
function commandLine({ set, drivers, types, rounds, seconds, quick, full, aa }: BenchOptions): string {
  const words = [
    quick && '--quick',
    full && '--full',
    aa && '--aa',
    set !== undefined && `--set ${set}`,
    drivers !== undefined && `--drivers ${withoutBlanks(drivers)}`,
    types !== undefined && `--types ${withoutBlanks(types)}`,
    rounds !== undefined && `--rounds ${rounds}`,
    seconds !== undefined && `--seconds ${seconds}`,
  ];
  return ['tapbridge bench', ...words.filter((word) => typeof word === 'string')].join(' ');
}

function withoutBlanks(list: string): string {
  return list.replace(/\s+/g, '');
}

/** Start of processes, namespaces, connecting, pings, taking down. Measured on two cores. */
const AROUND_SECONDS = 0.5;
/** Many ports take time to make. */
const SECONDS_PER_PORT = 0.02;
const LIMIT_FACTOR = 6;
const LIMIT_SECONDS = 60;

/** About how long a trial takes. */
export function trialSeconds(type: BenchType, seconds: number): number {
  return AROUND_SECONDS + SECONDS_PER_PORT * ((type.ports ?? 2) - 2) + seconds * ((type.steps ?? 1) + WARM_UP_SHARE);
}

/** How long one may take before it counts as failed. */
export function trialLimit(type: BenchType, seconds: number): number {
  return LIMIT_SECONDS + LIMIT_FACTOR * trialSeconds(type, seconds);
}

/** The trials of one round, in the order they run: types in turn, drivers forth and back from round to round, so that drift meets all alike. */
export function trialsOfRound(plan: Plan, round: number): { entrant: Entrant; type: BenchType }[] {
  const entrants = round % 2 === 1 ? plan.entrants : [...plan.entrants].reverse();
  return plan.types.flatMap((type) =>
    entrants.filter((entrant) => isPlanned(plan, entrant, type)).map((entrant) => ({ entrant, type })),
  );
}

/** About how long the campaign takes, seconds. */
export function planSeconds(plan: Plan): number {
  const round = trialsOfRound(plan, 1).reduce((sum, { type }) => sum + trialSeconds(type, plan.seconds), 0);
  return round * plan.rounds;
}
