/** By which names bridges and ports are found. */
import { describe, expect, test } from 'vitest';
import { bridgeOf, type ControlContext, portOf } from '../../src/control/context.js';
import type { ContainerInfo, NetworkInfo } from '../../src/control/model.js';
import type { BridgeRecord, PortRecord } from '../../src/control/records.js';

const ID = '4f1c2b7d90aabbccddee';

function port(name: string, container: ContainerInfo | null = null): PortRecord {
  return { name, container } as PortRecord;
}

function bridge(name: string, network: NetworkInfo | null = null, ports: PortRecord[] = []): BridgeRecord {
  return { name, network, host: port(name), ports: new Map(ports.map((each) => [each.name, each])) } as BridgeRecord;
}

function contextOf(...bridges: BridgeRecord[]): ControlContext {
  return { bridges: new Map(bridges.map((each) => [each.name, each])) } as unknown as ControlContext;
}

function docker(id: string, name: string | null): NetworkInfo & ContainerInfo {
  return { engine: 'docker', id, name };
}

describe('a bridge', () => {
  const context = contextOf(bridge('tb0'), bridge('tb-4f1c', docker(ID, 'mynet')), bridge('cni0', docker('a'.repeat(64), null)));

  test.each([
    ['tb0', 'tb0'],
    ['tb-4f1c', 'tb-4f1c'],
    ['mynet', 'tb-4f1c'],
    [ID, 'tb-4f1c'],
    [ID.slice(0, 12), 'tb-4f1c'],
    ['aaaaaaaaaaaaa', 'cni0'],
  ])('%s', (name, found) => {
    expect(bridgeOf(context, name).name).toBe(found);
  });

  test('not by less than 12 digits of an id, and the hint says what there is', () => {
    expect(() => bridgeOf(context, ID.slice(0, 11))).toThrow(`no such bridge: ${ID.slice(0, 11)}`);
    const hint = 'there are: tb0, tb-4f1c (mynet), cni0';
    expect(() => bridgeOf(context, 'lan')).toThrow(expect.objectContaining({ code: 'not-found', hint }));
    expect(() => bridgeOf(contextOf(), 'lan')).toThrow(expect.objectContaining({ hint: 'make it: tapbridge create lan' }));
  });

  test('its own name wins over that of a network', () => {
    const both = contextOf(bridge('tb-1', docker(ID, 'tb0')), bridge('tb0'));
    expect(bridgeOf(both, 'tb0').name).toBe('tb0');
  });

  test('a name several networks have is none', () => {
    const twins = contextOf(
      bridge('tb-1', docker('a'.repeat(64), 'lan')),
      bridge('tb-2', { engine: 'cni', id: 'lan', name: 'lan' }),
    );
    expect(() => bridgeOf(twins, 'lan')).toThrow(
      expect.objectContaining({ code: 'conflict', message: 'several have the network lan: tb-1, tb-2' }),
    );
    expect(bridgeOf(twins, 'tb-2').name).toBe('tb-2');
  });
});

describe('a port', () => {
  const found = bridge('tb0', null, [
    port('ac267a6e0001', docker(ID, 'web')),
    port('ac267a6e0002', docker('b'.repeat(64), null)),
    port('db'),
  ]);

  test.each([
    ['tb0', 'tb0'],
    ['db', 'db'],
    ['ac267a6e0001', 'ac267a6e0001'],
    ['web', 'ac267a6e0001'],
    [ID.slice(0, 12), 'ac267a6e0001'],
    ['b'.repeat(64), 'ac267a6e0002'],
  ])('%s', (name, expected) => {
    expect(portOf(found, name).name).toBe(expected);
  });

  test('there is not', () => {
    const hint = 'there are: tb0, ac267a6e0001 (web), ac267a6e0002, db';
    expect(() => portOf(found, 'shop')).toThrow(expect.objectContaining({ code: 'not-found', hint }));
  });

  test('a container with two ports must be named by one of them', () => {
    const twice = bridge('tb0', null, [port('in', docker(ID, 'web')), port('out', docker(ID, 'web'))]);
    expect(() => portOf(twice, 'web')).toThrow('several have the container web: in, out');
    expect(portOf(twice, 'out').name).toBe('out');
  });
});
