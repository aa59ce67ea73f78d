import { expect, test } from 'vitest';
import { publishesOf } from '../../src/cni/add.js';
import { readEnvironment } from '../../src/cni/environment.js';
import { readArgs, readWishes } from '../../src/cni/wishes.js';
import { RATE_BURST } from '../../src/control/limits.js';

function wishesOf(runtimeConfig: object, args = '', more: object = {}) {
  const id = 'a368437ce371f00d';
  const environment = readEnvironment({
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: id,
    CNI_NETNS: '/run/netns/a',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: args,
  });
  return readWishes({ name: 'tapnet', runtimeConfig, ...more }, environment);
}

test('addresses: runtimeConfig before args.cni before CNI_ARGS', () => {
  const args = 'IgnoreUnknown=1;IP=10.0.0.3';
  expect(wishesOf({ ips: ['10.0.0.1/24'] }, args, { args: { cni: { ips: ['10.0.0.2'] } } }).ips).toEqual(['10.0.0.1/24']);
  expect(wishesOf({}, args, { args: { cni: { ips: ['10.0.0.2'] } } }).ips).toEqual(['10.0.0.2']);
  expect(wishesOf({}, args).ips).toEqual(['10.0.0.3']);
  expect(wishesOf({}).ips).toEqual([]);
  for (const bad of ['10.0.0.300', '10.0.0.1/33', '10.0.0.1/24/1', 'fd00::1/129', 'x']) {
    expect(() => wishesOf({ ips: [bad] })).toThrow(expect.objectContaining({ code: 7 }));
  }
});

test('MAC: runtimeConfig before CNI_ARGS', () => {
  expect(wishesOf({ mac: '02:00:00:00:00:01' }, 'MAC=02:00:00:00:00:02').mac).toBe('02:00:00:00:00:01');
  expect(wishesOf({}, 'MAC=02:00:00:00:00:02').mac).toBe('02:00:00:00:00:02');
});

test('CNI_ARGS: pairs; unknown names need IgnoreUnknown', () => {
  expect([...readArgs('IgnoreUnknown=1;K8S_POD_NAME=q1;X=a=b')]).toEqual([
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAME', 'q1'],
    ['X', 'a=b'],
  ]);
  expect(() => readArgs('X=1')).toThrow(expect.objectContaining({ code: 4, message: 'CNI_ARGS: unknown args [X]' }));
  expect(() => readArgs('IP')).toThrow(expect.objectContaining({ code: 4 }));
});

test('names: the pod’s; else an alias, in podman’s form the last that is not the id', () => {
  expect(wishesOf({ aliases: { tapnet: ['db', 'web', 'a368437ce371'], other: ['x'] } }).name).toBe('web');
  expect(wishesOf({ aliases: ['web'] }).name).toBe('web');
  expect(wishesOf({ aliases: ['web'] }, 'K8S_POD_NAME=q1').name).toBe('q1');
  expect(wishesOf({ aliases: { other: ['x'] } }).name).toBeNull();
  expect(wishesOf({ aliases: 7 }).name).toBeNull();
});

test.each(['\x1b[2Jq1', 'q1\n', 'q\x7f', 'q\x9b1', 'q\u202e1'])('the name %j: refused, and not repeated', (name) => {
  const without = expect.not.stringContaining(name);
  expect(() => wishesOf({}, `K8S_POD_NAME=${name}`)).toThrow(expect.objectContaining({ code: 4, message: without }));
  expect(() => wishesOf({ aliases: { tapnet: [name, 'web'] } })).toThrow(expect.objectContaining({ code: 7, message: without }));
});

test('ports: those without a host port are not published', () => {
  const portMappings = [
    { hostPort: 8080, containerPort: 80, protocol: 'TCP' },
    { hostPort: 0, containerPort: 81, protocol: 'tcp' },
    { hostPort: 9000, containerPort: 90, protocol: 'udp', hostIP: '127.0.0.1' },
    { hostPort: 9001, containerPort: 91, hostIP: '0.0.0.0' },
  ];
  expect(wishesOf({ portMappings }).portMappings).toEqual([
    { protocol: 'tcp', hostAddress: null, hostPort: 8080, containerPort: 80 },
    { protocol: 'udp', hostAddress: '127.0.0.1', hostPort: 9000, containerPort: 90 },
    { protocol: 'tcp', hostAddress: null, hostPort: 9001, containerPort: 91 },
  ]);
});

test.each([
  [{ hostPort: 80, containerPort: 80, protocol: 'sctp' }, '80/sctp'],
  [{ hostPort: 80, containerPort: 80, hostIP: '::1' }, '::1'],
  [{ hostPort: 80 }, 'containerPort'],
  [{ hostPort: 65_536, containerPort: 80 }, 'hostPort'],
  [{ hostPort: 1, containerPort: 0 }, 'containerPort'],
  ['80', 'portMappings'],
])('mapping %j: error 7 that names it', (mapping, named) => {
  expect(() => wishesOf({ portMappings: [mapping] })).toThrow(
    expect.objectContaining({ code: 7, message: expect.stringContaining(named) }),
  );
});

test('ports in a row are one publish', () => {
  const one = (hostPort: number, containerPort: number, protocol: 'tcp' | 'udp' = 'tcp') => ({
    protocol,
    hostAddress: null,
    hostPort,
    containerPort,
  });
  const made = publishesOf([one(8000, 80), one(8001, 81), one(8002, 82), one(8003, 90), one(8004, 91, 'udp')], 'p');
  expect(made.map(({ protocol, hostPort, hostPortEnd, port }) => [protocol, hostPort, hostPortEnd, port])).toEqual([
    ['tcp', 8000, 8002, 80],
    ['tcp', 8003, 8003, 90],
    ['udp', 8004, 8004, 91],
  ]);
});

test('bandwidth: bits, ingress towards the container; bursts are kept within what the switch takes', () => {
  const { rates } = wishesOf({
    bandwidth: { ingressRate: 1_000_000, ingressBurst: 8_000_000, egressRate: 16_000, egressBurst: 8 },
  });
  expect(rates).toEqual({
    in: { bitsPerSecond: 1_000_000, burstBytes: 1_000_000 },
    out: { bitsPerSecond: 16_000, burstBytes: RATE_BURST.min },
  });
  expect(wishesOf({ bandwidth: { ingressRate: 1e6, ingressBurst: 2 ** 64 } }).rates.in?.burstBytes).toBe(RATE_BURST.max);
  expect(wishesOf({ bandwidth: { ingressRate: 0, egressRate: 1e12 } }).rates).toEqual({ in: null, out: null });
  expect(wishesOf({ bandwidth: { ingressRate: 2 ** 64, egressRate: Number.POSITIVE_INFINITY } }).rates).toEqual({
    in: null,
    out: null,
  });
  expect(wishesOf({ bandwidth: { ingressRate: 8000.4 } }).rates.in?.bitsPerSecond).toBe(8000);
  expect(() => wishesOf({ bandwidth: { ingressRate: -1 } })).toThrow(expect.objectContaining({ code: 7 }));
  expect(() => wishesOf({ bandwidth: { ingressRate: 7 } })).toThrow(expect.objectContaining({ code: 7 }));
  expect(() => wishesOf({ bandwidth: { ingressBurst: 7 } })).toThrow('ingressBurst without ingressRate');
});

test('DNS of the runtime has other names than a result’s', () => {
  expect(wishesOf({ dns: { servers: ['192.0.2.1'], searches: ['x.test'], options: [] } }).dns).toEqual({
    nameservers: ['192.0.2.1'],
    search: ['x.test'],
  });
});
