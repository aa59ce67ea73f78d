import { describe, expect, test } from 'vitest';
import { checkEndpointOptions, NETWORK_OPTIONS, networkOptions, truth } from '../../src/docker/options.js';

const BRIDGE = 'com.docker.network.bridge.';

function read(options: Record<string, string>) {
  return networkOptions({ 'com.docker.network.generic': options });
}

describe('options of a network', () => {
  test('none: a network of its defaults', () => {
    const expected = { bridge: {}, interfacePrefix: 'eth', hostBinding: null, inhibitIpv4: false, gatewayMode: 'nat' };
    expect(networkOptions({})).toEqual(expected);
    expect(networkOptions({ 'com.docker.network.generic': null, 'com.docker.network.enable_ipv6': true })).toEqual(expected);
  });

  test.each([
    [{ [`${BRIDGE}name`]: 'lan' }, { bridge: { name: 'lan' } }],
    [{ [`${BRIDGE}enable_icc`]: 'false' }, { bridge: { icc: false } }],
    [{ [`${BRIDGE}enable_ip_masquerade`]: 'true' }, { bridge: {} }],
    [{ [`${BRIDGE}host_binding_ipv4`]: '127.0.0.1' }, { hostBinding: '127.0.0.1' }],
    [{ [`${BRIDGE}host_binding_ipv4`]: '0.0.0.0' }, { hostBinding: null }],
    [{ [`${BRIDGE}gateway_mode_ipv4`]: 'nat' }, { gatewayMode: 'nat' }],
    [{ [`${BRIDGE}gateway_mode_ipv4`]: 'isolated' }, { gatewayMode: 'isolated' }],
    [{ [`${BRIDGE}gateway_mode_ipv6`]: 'isolated' }, { bridge: {} }],
    [{ [`${BRIDGE}inhibit_ipv4`]: 'T' }, { inhibitIpv4: true }],
    [{ [`${BRIDGE}default_bridge`]: '0' }, { bridge: {} }],
    [{ 'com.docker.network.driver.mtu': '1400' }, { bridge: { mtu: 1400 } }],
    [{ 'com.docker.network.container_iface_prefix': 'tap' }, { interfacePrefix: 'tap' }],
    [{ 'com.docker.network.host_ipv4': '192.0.2.7' }, { bridge: { egressAddress: '192.0.2.7' } }],
    [{ 'com.docker.network.advertise_addr_nmsgs': '3', 'com.docker.network.advertise_addr_ms': '1000' }, { bridge: {} }],
    [{ 'tapbridge.uplink': 'eth0,eth1' }, { bridge: { uplink: 'eth0,eth1' } }],
    [{ 'tapbridge.ageing': '0' }, { bridge: { ageingSeconds: 0 } }],
    [{ 'tapbridge.fdb_limit': '100' }, { bridge: { fdbLimit: 100 } }],
    [{ 'tapbridge.arp_proxy': 'FALSE' }, { bridge: { arpProxy: false } }],
    [{ 'tapbridge.mss_clamp': 'on' }, { bridge: { mssClamp: 'on' } }],
  ])('%j takes effect', (given, expected) => {
    expect(read(given as Record<string, string>)).toMatchObject(expected);
  });

  test.each([
    [`${BRIDGE}enable_ip_masquerade`, 'false', 'the gateway always translates'],
    [`${BRIDGE}enable_icc`, 'no', 'it is true or false'],
    [`${BRIDGE}gateway_mode_ipv4`, 'routed', 'outside nobody knows the way'],
    [`${BRIDGE}gateway_mode_ipv4`, 'nat-unprotected', 'outside nobody knows the way'],
    [`${BRIDGE}gateway_mode_ipv4`, 'nta', 'there is no such mode'],
    [`${BRIDGE}gateway_mode_ipv6`, 'nat', 'IPv6 is bridged'],
    [`${BRIDGE}default_bridge`, 'true', "Docker's own"],
    [`${BRIDGE}trusted_host_interfaces`, 'eth0', 'by published ports only'],
    [`${BRIDGE}host_binding_ipv4`, '::1', 'IPv4 addresses only'],
    [`${BRIDGE}host_binding_ipv4`, '224.0.0.1', 'no address of a host'],
    ['com.docker.network.host_ipv6', 'fd00::1', 'IPv6 is bridged'],
    ['com.docker.network.enable_ipv6', 'true', 'it is --ipv6'],
    ['com.docker.network.internal', 'true', 'it is --internal'],
    ['tapbridge.mss_clamp', 'yes', 'there is no such setting'],
  ])('%s=%s is refused by name', (name, value, why) => {
    expect(() => read({ [name]: value })).toThrow(`${name}=${value} cannot be: `);
    expect(() => read({ [name]: value })).toThrow(why);
  });

  test.each([
    ['com.docker.network.driver.mtu', '67', 'from 68 to 65521'],
    ['com.docker.network.driver.mtu', '1e3', 'mtu=1e3 cannot be: it is a whole number from 68 to 65521'],
    ['com.docker.network.container_iface_prefix', 'twelve-bytes', '1 to 11 bytes'],
    ['com.docker.network.container_iface_prefix', 'a/b', 'cannot be an interface name'],
    ['com.docker.network.advertise_addr_nmsgs', '4', 'from 0 to 3'],
    ['tapbridge.ageing', '-1', 'from 0 to 1000000'],
  ])('%s=%s is out of range', (name, value, why) => {
    expect(() => read({ [name]: value })).toThrow(why);
  });

  test.each(['foo', 'com.docker.network.bridge.nmae', 'com.docker.network.mtu', 'tapbridge.uplnk', '__proto__', 'constructor'])(
    '%s is unknown, and named',
    (name) => {
      expect(() => networkOptions({ 'com.docker.network.generic': JSON.parse(`{${JSON.stringify(name)}: "1"}`) })).toThrow(
        `tapbridge knows no option ${name}`,
      );
    },
  );

  test('mtu says how it is written', () => {
    expect(() => read({ mtu: '1400' })).toThrow(expect.objectContaining({ hint: 'write -o com.docker.network.driver.mtu=...' }));
  });

  test('an unknown one of ours says which there are', () => {
    expect(() => read({ 'tapbridge.x': '1' })).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('tapbridge.uplink') }),
    );
  });

  test('what is no text or no map is refused', () => {
    expect(() => networkOptions({ 'com.docker.network.generic': { 'tapbridge.ageing': 5 } })).toThrow('is no text');
    expect(() => networkOptions({ 'com.docker.network.generic': ['a'] })).toThrow('are no map');
  });

  test('each says what it means', () => {
    for (const { meaning } of Object.values(NETWORK_OPTIONS)) expect(meaning).not.toBe('');
  });
});

describe('options of an endpoint', () => {
  test('what dockerd says or does itself is passed over', () => {
    const given = ['exposedports', 'macaddress', 'sysctls', 'something.new'].map((name) => [
      `com.docker.network.endpoint.${name}`,
      1,
    ]);
    expect(() => checkEndpointOptions(Object.fromEntries(given))).not.toThrow();
  });

  test.each(['x', 'tapbridge.rate'])('%s is unknown', (name) => {
    expect(() => checkEndpointOptions({ [name]: 'y' })).toThrow(`tapbridge knows no option ${name} of an endpoint`);
  });

  test('a name for the interface cannot be', () => {
    expect(() => checkEndpointOptions({ 'com.docker.network.endpoint.ifname': 'lan0' })).toThrow('dockerd names the interfaces');
  });
});

test('booleans as Go reads them', () => {
  for (const text of ['1', 't', 'T', 'true', 'TRUE', 'True']) expect(truth('x', text)).toBe(true);
  for (const text of ['0', 'f', 'F', 'false', 'FALSE', 'False']) expect(truth('x', text)).toBe(false);
  for (const text of ['', 'yes', 'tRUE', ' 1']) expect(() => truth('x', text)).toThrow('it is true or false');
});
