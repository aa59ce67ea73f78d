/** A network whose options contradict each other is refused, by the name of the option that would have no effect. */
import { describe, expect, test } from 'vitest';
import type { CreateNetworkRequest } from '../../src/docker/messages.js';
import { planNetwork } from '../../src/docker/network-plan.js';

const HOST_IPV4 = 'com.docker.network.host_ipv4';
const HOST_BINDING = 'com.docker.network.bridge.host_binding_ipv4';

function plan(generic: Record<string, string>, internal = false) {
  const Options = { 'com.docker.network.internal': internal, 'com.docker.network.generic': generic };
  const IPv4Data = [{ AddressSpace: 'x', Pool: '172.30.0.0/24', Gateway: '172.30.0.1/24' }];
  return planNetwork({ NetworkID: 'a1'.repeat(32), Options, IPv4Data, IPv6Data: [] } as CreateNetworkRequest);
}

describe('--internal', () => {
  test.each([
    ['tapbridge.uplink', 'eth0'],
    ['tapbridge.uplink', 'auto'],
    [HOST_IPV4, '192.0.2.7'],
    ['tapbridge.mss_clamp', 'on'],
  ])('%s=%s would have no effect', (name, value) => {
    const what = `${name} has no effect: a network with --internal has no uplink`;
    const error = expect.objectContaining({ code: 'invalid', message: what, hint: `leave ${name} out` });
    expect(() => plan({ [name]: value }, true)).toThrow(error);
    const isolated = { [name]: value, 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' };
    expect(() => plan(isolated, true)).toThrow(error);
    expect(() => plan({ [name]: value })).not.toThrow();
  });

  test.each([
    ['tapbridge.uplink', 'none'],
    ['tapbridge.mss_clamp', 'auto'],
    ['tapbridge.mss_clamp', 'off'],
  ])('%s=%s is what there is', (name, value) => {
    expect(plan({ [name]: value }, true).bridge).toMatchObject({ internal: true });
  });

  test("where ports are published may be said, as Docker's own bridge has it", () => {
    expect(plan({ [HOST_BINDING]: '127.0.0.1' }, true)).toMatchObject({ internal: true, hostBinding: '127.0.0.1' });
  });
});

test.each([
  [HOST_IPV4, '192.0.2.7'],
  ['tapbridge.mss_clamp', 'on'],
])('tapbridge.uplink=none: %s=%s would have no effect', (name, value) => {
  expect(() => plan({ [name]: value, 'tapbridge.uplink': 'none' })).toThrow(
    `${name} has no effect: with tapbridge.uplink=none there is no uplink`,
  );
});

test('tapbridge.uplink=none by itself', () => {
  expect(plan({ 'tapbridge.uplink': 'none' }).bridge).toMatchObject({ uplink: 'none', subnet: '172.30.0.0/24' });
});
