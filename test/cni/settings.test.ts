import { expect, test } from 'vitest';
import { parseInput, readNetwork } from '../../src/cni/network.js';
import { readSettings } from '../../src/cni/settings.js';

const BASE = { cniVersion: '1.0.0', name: 'tapnet', type: 'tapbridge' };

function networkOf(more: object) {
  const text = JSON.stringify({ ...BASE, ...more });
  return readNetwork(parseInput(text), text);
}

test('a real input of podman: keys of the runtime are tolerated', () => {
  const settings = readSettings({
    ...BASE,
    capabilities: { aliases: true },
    runtimeConfig: {},
    prevResult: {},
    args: {},
    cniVersions: ['1.0.0'],
    disableCheck: true,
    'cni.dev/valid-attachments': [],
    ipam: {},
    mtu: 1400,
    isGateway: true,
    hairpinMode: true,
    portIsolation: true,
    macspoofchk: true,
    promiscMode: false,
    dns: { nameservers: ['192.0.2.53'], search: [] },
  });
  expect(settings).toMatchObject({ mtu: 1400, isGateway: true, ipMasq: true, hairpin: true, isolated: true, locked: true });
  expect(settings.dns).toEqual({ nameservers: ['192.0.2.53'] });
});

test.each([
  [{ vlan: 100 }, 'unsupported field vlan: 100'],
  [{ vlanTrunk: [] }, 'unsupported field vlanTrunk: []'],
  [{ preserveDefaultVlan: true }, 'unsupported field preserveDefaultVlan: true'],
  [{ ipMasqBackend: 'nftables' }, 'unsupported field ipMasqBackend: "nftables"'],
  [{ forceAddress: true }, 'unsupported field forceAddress: true'],
  [{ colour: 'red' }, 'unsupported field colour: "red"'],
])('%j: error 2 with key and value', (more, message) => {
  expect(() => readSettings({ ...BASE, ...more })).toThrow(expect.objectContaining({ code: 2, message }));
});

test.each(['__proto__', 'constructor', 'toString'])('%s is a key like any other there is not: error 2', (key) => {
  expect(() => readSettings({ ...BASE, [key]: 7 })).toThrow(
    expect.objectContaining({ code: 2, message: `unsupported field ${key}: 7`, details: 'tapbridge has no such key' }),
  );
});

test.each([
  [{ mtu: 67 }],
  [{ mtu: 70_000 }],
  [{ mtu: '1500' }],
  [{ ipMasq: 'yes' }],
  [{ dns: [] }],
  [{ dns: { nameservers: 'x' } }],
  [{ ipMasq: false, uplink: 'eth0' }],
])('%j: error 7', (more) => {
  expect(() => readSettings({ ...BASE, ...more })).toThrow(expect.objectContaining({ code: 7 }));
});

test('null is absent, and an MTU of 0 the default: runtimes write both', () => {
  expect(readSettings({ ...BASE, mtu: 0, ipMasq: null, dns: null })).toMatchObject({ mtu: undefined, ipMasq: true });
});

test('which network: versions, names, the IPAM', () => {
  expect(() => networkOf({ cniVersion: '9.0.0' })).toThrow(
    expect.objectContaining({ code: 1, details: expect.stringContaining('config is "9.0.0", plugin supports ["0.3.0"') }),
  );
  expect(() => networkOf({ cniVersion: undefined })).toThrow(expect.objectContaining({ code: 1 }));
  expect(() => networkOf({ name: undefined })).toThrow(expect.objectContaining({ code: 7, message: 'missing network name' }));
  expect(() => networkOf({ name: '../x' })).toThrow(expect.objectContaining({ code: 7 }));
  expect(() => networkOf({ ipam: { subnet: '10.0.0.0/24' } })).toThrow(expect.objectContaining({ code: 7 }));
  expect(() => networkOf({ ipam: { type: '../host-local' } })).toThrow(expect.objectContaining({ code: 7 }));
  expect(() => networkOf({ socket: 'x'.repeat(200) })).toThrow(expect.objectContaining({ code: 7 }));
  expect(networkOf({ ipam: {} }).ipam).toBeNull();
  expect(networkOf({ bridge: 'tb0' })).toMatchObject({ bridge: 'tb0', bridgeNamed: true });
  expect(networkOf({})).toMatchObject({ bridge: 'tb-tapnet', bridgeNamed: false });
});

test('asked for addresses by another plugin: refused, before anything is made', () => {
  expect(() => networkOf({ type: 'bridge', ipam: { type: 'tapbridge' } })).toThrow(/tapbridge's own bridges only/);
});

test.each(['z', '[]', 'null', '"x"', '{'])('input %j: error 6', (text) => {
  expect(() => parseInput(text)).toThrow(expect.objectContaining({ code: 6 }));
});
