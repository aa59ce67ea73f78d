import { expect, test } from 'vitest';
import { readResult, resultDocument } from '../../src/cni/result.js';
import { VERSIONS, type Version } from '../../src/cni/version.js';

const RESULT = {
  interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1400, sandbox: '/run/netns/a' }],
  ips: [
    { address: '10.77.0.2/24', gateway: '10.77.0.1', interface: 0 },
    { address: 'fd00::2/64', gateway: undefined, interface: 0 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: undefined },
    { dst: '10.9.0.0/16', gw: '10.77.0.9' },
  ],
  dns: {},
};
const ROUTES = [{ dst: '0.0.0.0/0' }, { dst: '10.9.0.0/16', gw: '10.77.0.9' }];
const OLD_IPS = [
  { version: '4', address: '10.77.0.2/24', gateway: '10.77.0.1', interface: 0 },
  { version: '6', address: 'fd00::2/64', interface: 0 },
];
const IPS = OLD_IPS.map(({ version: _, ...rest }) => rest);
const PLAIN = [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/a' }];
const WITH_MTU = [{ name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1400, sandbox: '/run/netns/a' }];

const FORMS: Record<Version, object> = {
  '0.3.0': { interfaces: PLAIN, ips: OLD_IPS },
  '0.3.1': { interfaces: PLAIN, ips: OLD_IPS },
  '0.4.0': { interfaces: PLAIN, ips: OLD_IPS },
  '1.0.0': { interfaces: PLAIN, ips: IPS },
  '1.1.0': { interfaces: WITH_MTU, ips: IPS },
};

test.each(VERSIONS)('the form of %s', (version) => {
  expect(resultDocument(RESULT, version)).toEqual({ cniVersion: version, ...FORMS[version], routes: ROUTES, dns: {} });
});

test('layer 2 only: no ips, no routes', () => {
  const document = resultDocument({ ...RESULT, ips: [], routes: [] }, '1.0.0');
  expect(document).toEqual({ cniVersion: '1.0.0', interfaces: PLAIN, dns: {} });
});

test('host-local’s answer, old and new', () => {
  const answer = {
    cniVersion: '1.0.0',
    ips: [{ address: '10.77.0.2/24', gateway: '10.77.0.1' }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: {},
  };
  expect(readResult('ipam', answer)).toEqual({
    interfaces: [],
    ips: [{ address: '10.77.0.2/24', gateway: '10.77.0.1', interface: undefined }],
    routes: [{ dst: '0.0.0.0/0', gw: undefined }],
    dns: {},
  });
});

test.each([
  [{ ips: {} }],
  [{ ips: ['x'] }],
  [{ ips: [{ address: '10.0.0.1' }] }],
  [{ routes: [{ dst: 'default' }] }],
  [[]],
  [null],
])('answer %j: error 7', (answer) => {
  expect(() => readResult('ipam', answer)).toThrow(expect.objectContaining({ code: 7 }));
});
