/** What the demo shows: each step does one thing, looks whether it happened, and throws when it did not. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FdbInfo } from '../control/model.js';
import type { LabHost } from '../lab/lab-host.js';
import { createVeth, getLink, setLink } from '../netlink/link.js';
import { watchExchange } from './exchange.js';
import { OUTSIDE_STEPS } from './outside.js';
import { columns, duration, type Shown } from './report.js';
import { BRIDGE, DB, GATEWAY, GUEST, JOB, type Stage, SUBNET, WEB } from './stage.js';
import { expect, type Step } from './step.js';

const STREAM_BYTES = 256 << 20;
const BACK_BYTES = 64 << 20;
const PINGS = 100;
const GONE_MILLIS = 5000;
const POLL_MILLIS = 5;

export const STEPS: readonly Step[] = [
  { title: 'daemon started', run: startDaemon },
  { title: `bridge ${BRIDGE} created`, run: createBridge },
  { title: 'container web attached', run: (stage) => attach(stage, stage.web, 'web', WEB) },
  { title: 'container db attached', run: (stage) => attach(stage, stage.db, 'db', DB) },
  { title: 'ARP answered by the bridge', run: resolveArp },
  { title: 'ping web → db', run: ping },
  { title: 'learning: a station nobody announced', run: learn },
  { title: 'TCP web → db, every byte checked', run: stream },
  { title: 'host ↔ container', run: reachHost },
  ...OUTSIDE_STEPS,
  { title: 'a captured exchange', run: capture },
  { title: 'a container ends, its port goes with it', run: removeWithNamespace },
];

async function startDaemon(stage: Stage): Promise<Shown> {
  const pid = await stage.startDaemon();
  return { figure: `pid ${pid}`, evidence: [`process ${pid} in a network namespace of its own, API on ${stage.socket}`] };
}

async function createBridge({ client, host }: Stage): Promise<Shown> {
  const bridge = await client.createBridge({ name: BRIDGE, subnet: SUBNET, gateway: GATEWAY });
  expect(host.namespace.hasInterface(BRIDGE), `the host has no interface ${BRIDGE}`);
  return {
    figure: SUBNET,
    evidence: [
      `host port ${BRIDGE}, ${bridge.gateway} in ${bridge.subnet}, ${bridge.mac}, MTU ${bridge.mtu}`,
      ...(await client.listUplinks()).map(
        (uplink) => `uplink ${uplink.interface}, ${uplink.addresses.join(', ')}, guard ${uplink.guard}`,
      ),
    ],
  };
}

async function attach({ client }: Stage, container: LabHost, port: string, ip: string): Promise<Shown> {
  const start = performance.now();
  const made = await client.attach(BRIDGE, { port, pid: container.pid, ip });
  const took = duration(performance.now() - start);
  expect(container.namespace.hasInterface('eth0'), `${port} has no interface eth0`);
  return { figure: took, evidence: [`eth0 in the namespace of process ${container.pid}: ${made.ip}, ${made.mac}`] };
}

async function resolveArp({ client, web, db }: Stage): Promise<Shown> {
  const before = (await client.counters(BRIDGE)).bridge;
  const { received } = await web.ping({ address: DB, count: 1 });
  expect(received === 1, `${DB} did not answer`);
  const after = (await client.counters(BRIDGE)).bridge;
  const entry = web.namespace.neighbors('eth0').find(({ address }) => address === DB);
  const mac = db.namespace.interfaces().find(({ name }) => name === 'eth0')?.mac;
  expect(entry !== undefined && entry.mac === mac, `the ARP table of web says ${entry?.mac}, db has ${mac}`);
  const answered = after.arp_answered - before.arp_answered;
  const flooded = after.arp_flooded - before.arp_flooded;
  expect(answered > 0 && flooded === 0, `the bridge answered ${answered} requests and flooded ${flooded}`);
  return {
    figure: `${answered} answered, ${flooded} flooded`,
    evidence: [
      `ARP table of web: ${DB} is at ${mac}`,
      `asked and answered: ${answered} (each container once), flooded to others: ${flooded}`,
    ],
  };
}

async function ping({ web }: Stage): Promise<Shown> {
  const { sent, received, rttMicros } = await web.ping({ address: DB, count: PINGS });
  expect(received === sent, `${received} of ${sent} answered`);
  const sorted = [...rttMicros].sort((a, b) => a - b);
  const [least, median, most] = [sorted[0], sorted[sorted.length >> 1], sorted[sorted.length - 1]].map(Math.round);
  return {
    figure: `${median} µs`,
    evidence: [`${received} of ${sent} answered, rtt min/median/max ${least}/${median}/${most} µs`],
  };
}

/** A namespace plugged in by a veth pair and a raw socket: the bridge was told nothing about who is behind it. */
async function learn({ client, lab, host, web }: Stage): Promise<Shown> {
  const before = await client.listFdb(BRIDGE);
  const guest = lab.namespace('guest');
  createVeth(host.namespace.netlink, { name: 'veth-guest' }, { name: 'eth0', netns: guest.descriptor });
  setLink(host.namespace.netlink, getLink(host.namespace.netlink, 'veth-guest').index, { up: true });
  await client.attach(BRIDGE, { port: 'guest', iface: 'veth-guest' });
  guest.configure('eth0', { address: GUEST });
  const { received } = await web.ping({ address: GUEST, count: 1 });
  expect(received === 1, `${GUEST} did not answer`);
  const after = await client.listFdb(BRIDGE);
  const mac = guest.interfaces().find(({ name }) => name === 'eth0')?.mac ?? '';
  const learned = after.find((entry) => entry.mac === mac);
  expect(learned?.port === 'guest' && learned.kind === 'learned', `${mac} was not learned on port guest`);
  expect(!before.some((entry) => entry.mac === mac), `${mac} was there before`);
  return {
    figure: `${before.length} → ${after.length} MACs`,
    evidence: [
      `before ${GUEST} is plugged in (a veth end, taken over by a raw socket):`,
      ...fdbTable(before),
      `after one ping from web to ${GUEST}:`,
      ...fdbTable(after),
    ],
  };
}

async function stream({ client, web, db }: Stage): Promise<Shown> {
  const before = await portCounters(client, 'web');
  const { bytes, rate } = await transfer(web, db, DB, STREAM_BYTES);
  const after = await portCounters(client, 'web');
  const frames = after.rx_frames - before.rx_frames;
  const packets = after.rx_packets - before.rx_packets;
  return {
    figure: rate,
    evidence: [
      `${bytes >> 20} MiB arrived as they were sent, ${rate}`,
      `${packets} packets of the wire came as ${frames} frames: segmentation and checksums are left to who needs them`,
    ],
  };
}

async function reachHost({ host, web, db }: Stage): Promise<Shown> {
  const up = await web.ping({ address: GATEWAY, count: 3 });
  const down = await host.ping({ address: DB, count: 3 });
  expect(up.received === 3 && down.received === 3, `${up.received} and ${down.received} of 3 pings answered`);
  const forth = await transfer(db, host, GATEWAY, BACK_BYTES);
  const back = await transfer(host, web, WEB, BACK_BYTES);
  return {
    figure: `${forth.rate}, ${back.rate}`,
    evidence: [
      `ping web → host ${Math.round(up.rttMicros[2])} µs, host → db ${Math.round(down.rttMicros[2])} µs`,
      `TCP db → host ${forth.rate}, host → web ${back.rate}, ${BACK_BYTES >> 20} MiB each, every byte checked`,
    ],
  };
}

async function capture({ client, web, db }: Stage): Promise<Shown> {
  const seen = await watchExchange(client, BRIDGE, 'db', async () => {
    await web.ping({ address: DB, count: 1 });
    const served = await db.tcpServe();
    await web.tcpSend({ address: DB, port: served.port, bytes: 1000 });
    await served.result();
  });
  // Others may speak meanwhile: the guest's kernel looks for IPv6 routers.
  const lines = seen.filter((line) => line.includes(WEB) && line.includes(DB));
  expect(
    lines.some((line) => line.includes('ICMP echo request')) && lines.some((line) => line.includes('Flags [S]')),
    'the exchange is not in the capture',
  );
  return { figure: `${lines.length} frames`, evidence: lines };
}

async function removeWithNamespace({ client, lab, web }: Stage): Promise<Shown> {
  const job = lab.namespace('job');
  const { mac } = await client.attach(BRIDGE, { port: 'job', netns: job.path, ip: JOB });
  const { received } = await web.ping({ address: JOB, count: 1 });
  expect(received === 1, `${JOB} did not answer`);
  const traces = async (): Promise<string[]> => [
    ...(await client.listPorts(BRIDGE)).filter(({ name }) => name === 'job').map(() => 'port job'),
    ...(await client.listFdb(BRIDGE)).filter((entry) => entry.mac === mac).map((entry) => `FDB ${entry.mac}`),
    ...(await client.listNeighbors(BRIDGE)).filter(({ ip }) => ip === JOB).map(({ ip }) => `neighbor ${ip}`),
  ];
  const before = await traces();
  expect(before.length === 3, `before the end there is only ${before.join(', ')}`);
  const start = performance.now();
  job.close();
  let after = before;
  while (after.length > 0 && performance.now() < start + GONE_MILLIS) {
    await sleep(POLL_MILLIS);
    after = await traces();
  }
  expect(after.length === 0, `left behind: ${after.join(', ')}`);
  const took = duration(performance.now() - start);
  return { figure: took, evidence: [`before: ${before.join(', ')}`, `${took} after its namespace ended: none of them`] };
}

async function transfer(from: LabHost, to: LabHost, address: string, bytes: number): Promise<{ bytes: number; rate: string }> {
  const served = await to.tcpServe();
  const [received] = await Promise.all([served.result(), from.tcpSend({ address, port: served.port, bytes })]);
  expect(
    received.bytes === bytes && received.intact,
    `${received.bytes} of ${bytes} bytes arrived, ${received.intact ? '' : 'not '}intact`,
  );
  return { bytes, rate: `${((bytes * 8) / received.millis / 1e6).toFixed(1)} Gbit/s` };
}

async function portCounters(client: Stage['client'], port: string) {
  const found = (await client.counters(BRIDGE)).ports.find((each) => each.port === port);
  if (found === undefined) throw new Error(`there are no counters of port ${port}`);
  return found.counters;
}

function fdbTable(entries: readonly FdbInfo[]): string[] {
  return columns(entries.map(({ mac, port, kind }) => ['  ', mac, port, kind]));
}
