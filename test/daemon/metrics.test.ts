/** /metrics: the format, what is in it, and its table in docs/daemon.md. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { PortInfo } from '../../src/control/model.js';
import type { BridgeTelemetry, Telemetry } from '../../src/control/telemetry.js';
import {
  BRIDGE_COUNTERS,
  DROP_REASONS,
  GATEWAY_COUNTERS,
  GATEWAY_DROPS,
  INTERFACE_DROP_REASONS,
  LOOP_COUNTERS,
  PORT_COUNTERS,
} from '../../src/core/counters.js';
import { METRICS, metricsText } from '../../src/daemon/metrics.js';
import { exposition } from '../../src/daemon/prometheus.js';
import { DEFAULT_PORT_FLAGS } from '../../src/engine/protocol.js';
import { readExposition } from '../helpers/exposition.js';

/** 1, 2, 3 ... under each name, so that every sample can be told from the others. */
function counted<Name extends string>(names: readonly Name[], from = 1): Record<Name, number> {
  return Object.fromEntries(names.map((name, index) => [name, from + index])) as Record<Name, number>;
}

function port(name: string, more: Partial<PortInfo> = {}): BridgeTelemetry['ports'][number] {
  const rest = { file: null, mac: null, ip: null, faults: null, egressAddress: null, netns: null, pid: null, container: null };
  const counts = { macLimit: 0, rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, drops: 0, mtu: 1500 };
  const info: PortInfo = {
    ...rest,
    ...counts,
    name,
    bridge: 'tb0',
    kind: 'tap',
    state: 'up',
    interface: 'eth0',
    flags: DEFAULT_PORT_FLAGS,
    offloads: true,
    rates: { in: null, out: null },
    ...more,
  };
  return { info, counters: { ...counted(PORT_COUNTERS), queue_drops: 77 } };
}

function telemetry(more: Partial<Telemetry> = {}): Telemetry {
  const info = {
    name: 'tb0',
    mtu: 1500,
    subnet: '10.1.0.0/24',
    gateway: '10.1.0.1',
    mac: '02:00:00:00:00:01',
    ageingSeconds: 300,
    fdbLimit: 65_536,
    arpProxy: true,
    groupForwardMask: 0,
    ports: 1,
    uplink: 'auto',
    internal: false,
    icc: true,
    egressAddress: null,
    mssClamp: 'auto',
    rules: [],
    network: null,
  } as const;
  const bridge: BridgeTelemetry = {
    info: { ...info, rules: [] },
    counters: counted(BRIDGE_COUNTERS),
    gateway: counted(GATEWAY_COUNTERS),
    use: { fdb: 3, neighbors: 2 },
    publishes: 2,
    listening: 1,
    ports: [port('tb0', { kind: 'host', interface: 'tb0' }), port('web', { state: 'down' })],
  };
  return {
    bridges: [bridge],
    uplinks: [
      {
        interface: 'eth0',
        state: 'up',
        mac: '02:00:00:00:00:02',
        mtu: 1500,
        addresses: ['198.51.100.7'],
        guard: 'ebpf',
        bridges: ['tb0'],
        counters: counted(GATEWAY_COUNTERS, 100),
      },
    ],
    gateway: {
      filter: 'apdf',
      flows: 10,
      flowLimit: 262_144,
      mappings: 5,
      mappingLimit: 65_536,
      pools: [{ address: '198.51.100.7', protocol: 'tcp', used: 4, size: 16_384 }],
      timeouts: {},
    },
    loops: [{ ...counted(LOOP_COUNTERS), busy_micros: 2_500_000, longest_micros: 400, turned_micros: 7_000_000 }],
    now: 7_250_000,
    ...more,
  };
}

const read = (look: Telemetry) => readExposition(metricsText(look));
const samplesOf = (families: ReturnType<typeof read>, name: string) => families.get(name)?.samples ?? [];

describe('what is in it', () => {
  const families = read(telemetry());

  test('every family, with samples and the labels it says', () => {
    expect([...families.keys()]).toEqual(METRICS.map(({ name }) => name));
    for (const { name, type, labels } of METRICS) {
      const family = families.get(name);
      expect(family?.type, name).toBe(type);
      expect(family?.samples.length, name).toBeGreaterThan(0);
      for (const sample of family?.samples ?? []) expect(Object.keys(sample.labels), name).toEqual([...labels]);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
    }
  });

  test('drops of a port, each reason, those of its interface too', () => {
    const drops = samplesOf(families, 'tapbridge_port_drops_total').filter(({ labels }) => labels['port'] === 'web');
    const reasons = [...Object.keys(DROP_REASONS), ...Object.keys(INTERFACE_DROP_REASONS)];
    expect(drops.map(({ labels }) => labels['reason'])).toEqual(reasons);
    expect(drops.at(-1)).toEqual({ labels: { bridge: 'tb0', port: 'web', reason: 'queue_drops' }, value: 77 });
    expect(drops[0].value).toBe(PORT_COUNTERS.indexOf('rx_malformed') + 1);
  });

  test('every counter is somewhere, and nowhere twice', () => {
    const portNames = ['frames', 'bytes', 'packets'].flatMap((unit) =>
      samplesOf(families, `tapbridge_port_${unit}_total`).map(({ labels }) => `${labels['direction']}_${unit}`),
    );
    const events = samplesOf(families, 'tapbridge_port_events_total').map(({ labels }) => labels['event']);
    const drops = samplesOf(families, 'tapbridge_port_drops_total').map(({ labels }) => labels['reason']);
    const seen = [...portNames, ...events, ...drops].filter((name) => name !== 'queue_drops');
    // Two ports.
    expect(seen.sort()).toEqual([...PORT_COUNTERS, ...PORT_COUNTERS].sort());
    const zone = (name: string, label: string) =>
      samplesOf(families, name)
        .filter(({ labels }) => labels['kind'] === 'uplink')
        .map(({ labels }) => labels[label]);
    const gateway = [...zone('tapbridge_gateway_drops_total', 'reason'), ...zone('tapbridge_gateway_events_total', 'event')];
    expect(gateway.sort()).toEqual([...GATEWAY_COUNTERS].sort());
    expect(zone('tapbridge_gateway_drops_total', 'reason').sort()).toEqual(Object.keys(GATEWAY_DROPS).sort());
  });

  test('states, tables, times', () => {
    const value = (name: string) => samplesOf(families, name).map((sample) => sample.value);
    expect(value('tapbridge_port_up')).toEqual([1, 0]);
    expect(value('tapbridge_fdb_entries')).toEqual([3]);
    expect(value('tapbridge_publishes_listening')).toEqual([1]);
    expect(value('tapbridge_nat_pool_ports_used')).toEqual([4]);
    expect(value('tapbridge_engine_busy_seconds_total')).toEqual([2.5]);
    expect(value('tapbridge_engine_last_pass_age_seconds')).toEqual([0.25]);
    expect(value('process_open_fds')[0]).toBeGreaterThan(2);
  });
});

test('an engine that does not answer: what only it knows is left out, the rest is there', () => {
  const look = telemetry({ gateway: null });
  look.bridges[0].use = null;
  const families = read(look);
  expect(samplesOf(families, 'tapbridge_engine_answers')).toEqual([{ labels: {}, value: 0 }]);
  for (const name of ['tapbridge_flows', 'tapbridge_fdb_entries', 'tapbridge_nat_pool_ports']) {
    expect(families.has(name), name).toBe(false);
  }
  expect(samplesOf(families, 'tapbridge_port_frames_total')).toHaveLength(4);
});

test('a daemon without bridges', () => {
  const families = read(telemetry({ bridges: [], uplinks: [], loops: [] }));
  expect(samplesOf(families, 'tapbridge_bridges')).toEqual([{ labels: {}, value: 0 }]);
  expect(families.has('tapbridge_port_up')).toBe(false);
});

test('names of containers are theirs to choose', () => {
  const name = 'a"b\\c\nd{e="f"},';
  const look = telemetry();
  look.bridges[0].ports = [port('web', { container: { engine: 'docker', id: '4f1c2b7d90aa', name } })];
  expect(samplesOf(read(look), 'tapbridge_port_info')[0].labels['container']).toBe(name);
  // Ids are as many as containers that ever were.
  expect(metricsText(look)).not.toContain('4f1c2b7d90aa');
});

test('values as Prometheus reads them', () => {
  const family = { name: 'x', type: 'gauge', help: 'a\nb\\', labels: [] } as const;
  const text = exposition([[family, [{ labels: [], value: Number.POSITIVE_INFINITY }]]]);
  expect(text).toBe('# HELP x a\\nb\\\\\n# TYPE x gauge\nx +Inf\n');
  expect(exposition([[family, [{ labels: [], value: 1e21 }]]])).toContain('x 1e+21\n');
});

test('as many samples as said, whatever there is', () => {
  const look = telemetry();
  look.bridges[0].ports = Array.from({ length: 1024 }, (_, index) => port(`p${index}`));
  const lines = metricsText(look)
    .split('\n')
    .filter((line) => line.startsWith('tapbridge_port_')).length;
  expect(lines / 1024).toBeLessThanOrEqual(45);
});

test('docs/daemon.md has each of them', () => {
  const text = readFileSync(new URL('../../docs/daemon.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `((?:tapbridge|process)_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$/gm)].map((row) =>
    row.slice(1, 5),
  );
  expect(rows).toEqual(
    METRICS.map(({ name, type, labels, help }) =>
      [name, type, labels.map((label) => `\`${label}\``).join(', ') || ' ', help].map((cell) => cell.trim() || ''),
    ),
  );
});
