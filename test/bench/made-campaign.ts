/** A campaign as the bench would leave it, of figures chosen by the test. */
import type { Machine } from '../../bench/machine.js';
import type { Campaign, TrialResult } from '../../bench/system/result.js';
import { summarizeTrials } from '../../bench/system/summary.js';

export const MACHINE: Machine = {
  cpu: 'Test CPU',
  cores: 2,
  threadsPerCore: 1,
  frequencyGovernor: 'none',
  virtual: true,
  memoryGib: 4,
  os: 'Test OS 1',
  kernel: '6.18.0',
  commandLine: 'quiet',
  mitigations: { meltdown: 'Not affected' },
  clockSource: 'tsc',
  bridgeNetfilter: 'absent',
  congestionControl: 'cubic',
  queueingDiscipline: 'fq_codel',
  backlog: '1000',
  node: 'v20.20.2',
  v8: '11.3',
  tapbridge: { version: '0.1.0', commit: 'none', dirty: false, addon: 'none' },
  tools: {},
  started: '2026-11-20T20:00:00.000Z',
};

const TYPES: Campaign['types'] = [
  {
    name: 'udp-64',
    family: 'udp-size',
    at: { axis: 'frame size, bytes', value: 64 },
    what: 'small datagrams',
    unit: 'kpps',
    better: 'higher',
  },
  { name: 'ping-idle', family: 'ping-idle', what: 'echoes', unit: 'µs', better: 'lower' },
];

export function trial(driver: string, type: string, round: number, value: number): TrialResult {
  const noise = { cpuNanosPerUnit: 1000, busyCores: 1.5, steal: 0, foreignCores: 0, memoryMib: 0 };
  return { driver, type, round, value, units: 1000, details: { lost: 0 }, ...noise };
}

/** @param values type → driver → value per round; the first driver is the reference */
export function madeCampaign(values: Record<string, Record<string, number[]>>): Campaign {
  const trials = Object.entries(values).flatMap(([type, drivers]) =>
    Object.entries(drivers).flatMap(([driver, rounds]) => rounds.map((value, index) => trial(driver, type, index + 1, value))),
  );
  const types = TYPES.filter(({ name }) => name in values);
  const drivers = [...new Set(Object.values(values).flatMap((each) => Object.keys(each)))];
  const roles: Record<string, string> = { 'docker-bridge': 'reference', 'kernel-bridge': 'baseline', tapbridge: 'subject' };
  const rounds = Math.max(...trials.map(({ round }) => round));
  const names = types.map(({ name }) => name);
  return {
    format: 1,
    machine: MACHINE,
    plan: { rounds, seconds: 1, reference: drivers[0], command: 'tapbridge bench' },
    drivers: drivers.map((name) => ({ name, role: roles[name] ?? 'peer', what: name, version: '1' })),
    types,
    missing: [],
    failures: [],
    objections: [],
    trials,
    summary: summarizeTrials(trials, names, drivers, drivers[0]),
  };
}
