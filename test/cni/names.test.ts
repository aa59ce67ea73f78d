import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bridgeNameOf, portNameOf } from '../../src/cni/names.js';
import { checkBridgeName, checkPortName } from '../../src/control/limits.js';

test('a bridge is named after its network, within 15 bytes', () => {
  expect(bridgeNameOf('tapnet')).toBe('tb-tapnet');
  expect(bridgeNameOf('twelve-bytes')).toBe('tb-twelve-bytes');
  expect(bridgeNameOf('thirteen-byte')).toMatch(/^tb-thirt-[0-9a-f]{6}$/);
  expect(bridgeNameOf('thirteen-bytf')).not.toBe(bridgeNameOf('thirteen-byte'));
});

test('every name of a network, container and interface gives names the daemon takes', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,80}$/);
  const ifname = fc.stringMatching(/^[^/:\s\0]{1,15}$/);
  fc.assert(
    fc.property(name, name, ifname, (network, container, interfaceName) => {
      checkBridgeName(bridgeNameOf(network));
      checkPortName(portNameOf(network, container, interfaceName));
    }),
  );
});

test('an attachment’s port: the same each time, another for each part', () => {
  const names = [
    portNameOf('n', 'c', 'e'),
    portNameOf('n', 'c', 'f'),
    portNameOf('n', 'd', 'e'),
    portNameOf('m', 'c', 'e'),
    portNameOf('n', 'ce', ''),
  ];
  expect(new Set(names).size).toBe(5);
  expect(portNameOf('n', 'c', 'e')).toBe(names[0]);
});
