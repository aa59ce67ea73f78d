/** Options → plan: what is refused, what is left out and why, in which order trials run. */
import { expect, test } from 'vitest';
import type { Driver } from '../../bench/system/driver.js';
import { DEFAULT_NAT_TYPES, DRIVERS, driversIn, TYPES, typesIn } from '../../bench/system/matrix.js';
import { type BenchOptions, makePlan, mismatch, planSeconds, trialsOfRound } from '../../bench/system/plan.js';
import type { BenchType } from '../../bench/system/type.js';

const everything = () => true;
const awake = () => null;

test('names are unique, families never named as a type of another family', () => {
  for (const list of [DRIVERS, TYPES]) expect(new Set(list.map(({ name }) => name)).size).toBe(list.length);
  for (const { family } of TYPES) {
    const namesake = TYPES.find(({ name }) => name === family);
    expect(namesake?.family ?? family).toBe(family);
  }
});

test.each<[BenchOptions, RegExp]>([
  [{ quick: true, full: true }, /exclude each other/],
  [{ rounds: 0 }, /--rounds is a whole number from 1/],
  [{ rounds: 1.5 }, /--rounds is a whole number/],
  [{ seconds: 0.01 }, /--seconds is a number from 0\.1/],
  [{ seconds: 601 }, /--seconds is a number from/],
  [{ drivers: 'tapbridge,nothing' }, /--drivers: there is no "nothing"/],
  [{ drivers: 'tapbridge,' }, /list of names/],
  [{ drivers: 'veth,veth' }, /veth twice/],
  [{ set: 'nothing' }, /--set: there is no "nothing"/],
  [{ drivers: 'veth', types: 'nat-udp-64' }, /veth translates no addresses/],
  [{ drivers: 'docker-nat', types: 'udp-64' }, /docker-nat has b outside/],
  [{ types: 'nothing' }, /--types: there is no "nothing"/],
])('%j is refused', (options, message) => {
  expect(() => makePlan(options, everything, awake)).toThrow(message);
});

test('without options: the reference and its partners, six rounds, under three minutes', () => {
  const plan = makePlan({}, everything, awake);
  expect(plan).toMatchObject({ rounds: 6, reference: 'docker-bridge', missing: [], command: 'tapbridge bench' });
  expect(plan.entrants.map(({ label }) => label)).toEqual(['docker-bridge', 'kernel-bridge', 'tapbridge']);
  expect(planSeconds(plan)).toBeLessThan(180);
});

test('--quick: under 45 seconds', () => {
  expect(planSeconds(makePlan({ quick: true }, everything, awake))).toBeLessThan(45);
});

test('--full: every driver and type, and the reference twice', () => {
  const plan = makePlan({ full: true }, everything, awake);
  expect(plan.types.map(({ name }) => name)).toEqual(typesIn('bridge'));
  expect(plan.entrants.map(({ label }) => label).slice(0, 2)).toEqual(['docker-bridge', 'docker-bridge-again']);
  expect(plan.entrants).toHaveLength(driversIn('bridge').length + 1);
});

test('a family stands for its types', () => {
  expect(makePlan({ types: 'tcp-bulk' }, everything, awake).types.map(({ family }) => family)).toEqual(
    TYPES.filter(({ family }) => family === 'tcp-bulk').map(({ family }) => family),
  );
});

test('--set nat: gateways and what is measured through them, beside nothing else', () => {
  const plan = makePlan({ set: 'nat' }, everything, awake);
  expect(plan).toMatchObject({ reference: 'docker-nat', missing: [], command: 'tapbridge bench --set nat' });
  expect(plan.types.map(({ name }) => name)).toEqual(DEFAULT_NAT_TYPES);
  expect(plan.types.every(({ needs }) => needs === undefined)).toBe(true);
  expect(typesIn('nat')).toEqual([...DEFAULT_NAT_TYPES, 'requests-nginx', 'requests-redis']);
  expect(plan.entrants.map(({ label }) => label)).toEqual(['docker-nat', 'tapbridge-nat']);
  expect(planSeconds(plan)).toBeLessThan(180);
  expect(planSeconds(makePlan({ set: 'nat', quick: true }, everything, awake))).toBeLessThan(45);
  expect(makePlan({ types: 'nat-ping' }, everything, awake).reference).toBe('docker-nat');
  expect(makePlan({ drivers: 'tapbridge-nat' }, everything, awake).types).toEqual(plan.types);
});

test('all', () => {
  const plan = makePlan({ drivers: 'all', types: 'all' }, everything, awake);
  expect([plan.entrants.length, plan.types.length]).toEqual([driversIn('bridge').length, typesIn('bridge').length]);
});

test('a missing program leaves the driver out, with its package; the next one is the reference', () => {
  const plan = makePlan({}, (command) => command !== 'nft');
  expect(plan.reference).toBe('kernel-bridge');
  expect(plan.missing).toContainEqual({ driver: 'docker-bridge', why: 'needs nft (Debian package nftables)' });
  expect(() => makePlan({ drivers: 'docker-bridge' }, () => false)).toThrow(/no driver is left.*nftables/);
});

test('pairs none of which go together are refused with the reasons', () => {
  expect(() => makePlan({ drivers: 'pasta,veth', types: 'broadcast-8' }, everything, awake)).toThrow(
    /nothing is left to measure: broadcast-8 pasta passes IP only.*; broadcast-8 veth has 2 ports, 8 are needed/,
  );
  const plan = makePlan({ drivers: 'pasta', types: 'broadcast-8,tcp-1' }, everything, awake);
  expect(plan.types.map(({ name }) => name)).toEqual(['tcp-1']);
  expect(plan.missing).toMatchObject([{ driver: 'pasta', type: 'broadcast-8' }]);
});

test('rounds go forth and back', () => {
  const plan = makePlan({ drivers: 'kernel-bridge,tapbridge,veth', types: 'udp-64,tcp-1', rounds: 2 }, everything, awake);
  const order = (round: number): string =>
    trialsOfRound(plan, round)
      .map(({ entrant, type }) => `${type.name[0]}${entrant.label[0]}`)
      .join(' ');
  expect([order(1), order(2)]).toEqual(['uk ut uv tk tt tv', 'uv ut uk tv tt tk']);
});

test('pairs that do not go together', () => {
  const driver = { layer: 3, ping: false, maxPorts: 2 } as Driver;
  const type = { layer: 3 } as BenchType;
  expect(mismatch(driver, type)).toBeNull();
  expect(mismatch(driver, { ...type, layer: 2 })).toMatch(/no frames/);
  expect(mismatch(driver, { ...type, ping: true })).toMatch(/no ICMP/);
  expect(mismatch(driver, { ...type, ports: 3 })).toBe('has 2 ports, 3 are needed');
});

test('the command repeats the run', () => {
  expect(
    makePlan({ drivers: 'veth', types: 'udp-64, tcp-1', rounds: 2, seconds: 0.5, aa: true }, everything, awake).command,
  ).toBe('tapbridge bench --aa --drivers veth --types udp-64,tcp-1 --rounds 2 --seconds 0.5');
});
