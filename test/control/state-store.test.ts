import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Log } from '../../src/control/log.js';
import { type SavedBridge, StateStore } from '../../src/control/state-store.js';
import { DEFAULT_PORT_FLAGS } from '../../src/engine/protocol.js';

const BRIDGE: SavedBridge = {
  name: 'tb0',
  mtu: 1500,
  mac: '02:00:00:00:00:01',
  subnet: '10.1.0.0/24',
  gateway: '10.1.0.1',
  ageingSeconds: 300,
  fdbLimit: 65536,
  arpProxy: true,
  groupForwardMask: 0,
  uplink: 'auto',
  internal: false,
  icc: true,
  egressAddress: null,
  mssClamp: 'auto',
  rules: [{ action: 'deny', direction: 'out', protocol: 'tcp', ports: '25' }],
  publishes: [
    { protocol: 'tcp', hostAddress: null, hostPort: 8080, hostPortEnd: 8080, port: 80, portName: 'web', reservation: 'daemon' },
  ],
  ports: [
    {
      name: 'web',
      netns: 'web',
      pid: null,
      identity: '4:4026532000',
      iface: null,
      ifname: 'eth0',
      capture: null,
      replay: null,
      mac: '02:00:00:00:00:02',
      ip: '10.1.0.2/24',
      mtu: 1500,
      flags: DEFAULT_PORT_FLAGS,
      macLimit: 0,
      faults: null,
      egressAddress: null,
      number: 3,
      container: { engine: 'docker', id: '4f1c2b7d90aa', name: 'web' },
      lent: false,
      addresses: ['2001:db8::2/64'],
      routes: [{ destination: '0.0.0.0/0', gateway: '10.1.0.1' }],
      rates: { in: null, out: { bitsPerSecond: 8_000_000, burstBytes: 65_604 } },
    },
  ],
  fdb: [{ mac: '02:00:00:00:00:03', vlan: 0, port: 'web' }],
  neighbors: [{ ip: '10.1.0.3', mac: '02:00:00:00:00:03' }],
  number: 1,
  hostNumber: 2,
  network: null,
};

let folder: string;
let path: string;
let warnings: string[];
const log: Log = { debug() {}, info() {}, error() {}, warn: (_fields, message) => void warnings.push(message) };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-state-'));
  path = join(folder, 'state', 'state.json');
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('directory', () => {
  test('one it made goes with an empty record, one that is needed or was there stays', () => {
    const state = join(folder, 'state');
    const run = (bridges: SavedBridge[]) => {
      const store = StateStore.open(state);
      store.save(bridges, []);
      store.close();
      return existsSync(state);
    };
    expect(run([])).toBe(false);
    expect(run([BRIDGE])).toBe(true);
    // Now it was there before.
    expect(run([])).toBe(true);
    expect(readdirSync(state).sort()).toEqual(['instance', 'state.json']);
  });
});

describe('record', () => {
  test('what is saved is loaded by the next daemon, also after a crash', () => {
    const store = StateStore.open(join(folder, 'state'));
    expect(store.load(log)).toEqual({ version: 1, bridges: [], changes: [], uplinks: [] });
    const changes = [{ kind: 'arp-ignore' as const, interface: 'wire', was: '0' }];
    store.save([BRIDGE], changes);
    store.close();
    expect(StateStore.open(join(folder, 'state')).load(log)).toEqual({ version: 1, bridges: [BRIDGE], changes, uplinks: [] });
    expect(warnings).toEqual([]);
  });

  test('directory and files are private, and no temporary file stays', () => {
    const store = StateStore.open(join(folder, 'state'));
    store.save([BRIDGE], []);
    expect(statSync(store.directory).mode & 0o777).toBe(0o700);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(store.directory).sort()).toEqual(['daemon.lock', 'instance', 'state.json']);
  });

  test.each([
    ['half a record', () => JSON.stringify({ version: 1, bridges: [BRIDGE], changes: [] }).slice(0, 200)],
    ['no JSON', () => '\0\0\0\0'],
    ['a newer version', () => JSON.stringify({ version: 2, bridges: [], changes: [] })],
    ['an unknown field', () => JSON.stringify({ version: 1, bridges: [{ ...BRIDGE, colour: 'red' }], changes: [] })],
    ['a missing field', () => JSON.stringify({ version: 1, bridges: [{ ...BRIDGE, mtu: undefined }], changes: [] })],
  ])('%s is set aside, with a warning that says where', (_what, text) => {
    const store = StateStore.open(join(folder, 'state'));
    writeFileSync(path, text());
    writeFileSync(`${path}.broken-1`, 'of the time before');
    expect(store.load(log)).toEqual({ version: 1, bridges: [], changes: [], uplinks: [] });
    expect(existsSync(path)).toBe(false);
    expect(readFileSync(`${path}.broken-2`, 'utf8')).toBe(text());
    expect(warnings).toEqual([expect.stringContaining(`set aside as ${path}.broken-2`)]);
  });
});

describe('lock', () => {
  test('one daemon at a time', () => {
    const store = StateStore.open(join(folder, 'state'));
    expect(() => StateStore.open(join(folder, 'state'))).toThrow(`is in use by process ${process.pid}`);
    store.close();
    StateStore.open(join(folder, 'state')).close();
  });

  test.each([
    ['a process that is gone', '4194304 1'],
    ['a process id that was given to another process', `${process.pid} 1`],
    ['rubbish', 'no number'],
    ['nothing', ''],
  ])('the lock of %s is taken over', (_what, text) => {
    mkdirSync(join(folder, 'state'));
    writeFileSync(join(folder, 'state', 'daemon.lock'), text);
    const store = StateStore.open(join(folder, 'state'));
    expect(readFileSync(join(folder, 'state', 'daemon.lock'), 'utf8')).toMatch(new RegExp(`^${process.pid} [0-9]+\n$`));
    store.close();
    expect(readdirSync(join(folder, 'state'))).toEqual(['instance']);
  });

  test('a file where the directory should be', () => {
    writeFileSync(join(folder, 'state'), '');
    expect(() => StateStore.open(join(folder, 'state'))).toThrow(/cannot make the state directory|is not a directory/);
  });
});
