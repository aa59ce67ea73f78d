/** Publishes, flows, rules and settings of the gateway, as they are written and as they are printed. */
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/cli/failure.js';
import { flowQuery, refuseFilter } from '../../src/cli/flow-filter.js';
import { eventLine, flowLine } from '../../src/cli/flow-text.js';
import { parseRule } from '../../src/cli/policy-command.js';
import { attachRequest } from '../../src/cli/port-commands.js';
import { containerSideText, hostSideText, parsePublish, parseUnpublish } from '../../src/cli/published.js';
import { bridgeChange, parsePairs, portChange } from '../../src/cli/set-command.js';
import { gatewayLine } from '../../src/cli/show-gateway.js';
import type { BridgeInfo, UplinkInfo } from '../../src/control/model.js';
import { madeFlow } from '../helpers/fake-control.js';

describe('publish', () => {
  const one = { protocol: 'tcp', hostPort: 8080, hostPortEnd: 8080, port: 80, portName: 'web' };
  test.each([
    ['8080:80', one],
    ['8080:80/tcp', one],
    ['0.0.0.0:8080:80', { ...one, hostAddress: null }],
    ['8080:80/udp', { ...one, protocol: 'udp' }],
    ['192.0.2.7:8080:80', { ...one, hostAddress: '192.0.2.7' }],
    ['8080-8080:80-80', one],
    ['1-1000:64536-65535/udp', { ...one, protocol: 'udp', hostPort: 1, hostPortEnd: 1000, port: 64_536 }],
    ['127.0.0.1:53-54:53-54/udp', { ...one, protocol: 'udp', hostAddress: '127.0.0.1', hostPort: 53, hostPortEnd: 54, port: 53 }],
  ])('%s', (text, request) => {
    expect(parsePublish(text, 'web')).toEqual(request);
  });

  const SYNTAX = 'write [HOSTIP:]HOSTPORT[-END]:PORT[-END][/tcp|/udp], like 8080:80 or 127.0.0.1:5353:53/udp';
  test.each([
    '',
    '8080',
    '8080:',
    ':80',
    '8080:80/sctp',
    '8080:80/',
    'web:8080:80',
    '1.2.3:8080:80',
    '256.0.0.1:8080:80',
    '::1:8080:80',
    '8080:80:90:70',
    '-1:80',
    '8080:80 ',
    '0x50:80',
    '8080-:80',
    '0:80',
    '80:0',
    '65536:80',
    '90-80:90-80',
    '99999999999999999999:1',
  ])('%j tells the syntax', (text) => {
    expect(() => parsePublish(text, 'web')).toThrow(expect.objectContaining({ name: 'UsageError', hint: SYNTAX }));
  });

  test('ranges of different sizes say what would be right', () => {
    const error = {
      message: '10 ports of the host cannot lead to 1 of the container',
      hint: 'ranges have one size: 8000-8009:80-89',
    };
    expect(() => parsePublish('8000-8009:80', 'web')).toThrow(expect.objectContaining(error));
  });

  test('what is listed is what unpublish takes', () => {
    for (const text of ['8080:80', '192.0.2.7:53:53/udp', '30000-30999:30000-30999/udp']) {
      const { portName, port, ...host } = parsePublish(text, 'web');
      const listed = { hostAddress: null, ...host, port } as Parameters<typeof hostSideText>[0];
      expect(parseUnpublish(hostSideText(listed))).toEqual(host);
    }
    expect(parseUnpublish('8080')).toEqual({ protocol: 'tcp', hostPort: 8080, hostPortEnd: 8080 });
    expect(containerSideText({ ...parsePublish('1000-1009:80-89', 'web'), address: '10.1.0.2' } as never)).toBe('10.1.0.2:80-89');
    expect(() => parseUnpublish('8080:80')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('[HOSTIP:]HOSTPORT') }),
    );
  });
});

describe('flows', () => {
  test('a line as conntrack -L has it', () => {
    expect(flowLine(madeFlow(0))).toBe(
      'tcp    7440 ESTABLISHED src=10.1.0.2 dst=192.0.2.1 sport=1024 dport=443 packets=3 bytes=300 ' +
        'src=192.0.2.1 dst=198.51.100.7 sport=443 dport=1024 packets=2 bytes=200 [ASSURED] age=12 port=web',
    );
  });

  test('ICMP has an id, other protocols no ports, a container that is gone no name', () => {
    const ends = { source: '10.1.0.2', destination: '192.0.2.1', sourcePort: 7, destinationPort: 7 };
    const ping = { ...madeFlow(0), protocol: 'icmp', assured: false, original: ends, reply: ends, port: null, age: 0.4 };
    expect(flowLine(ping)).toContain('src=10.1.0.2 dst=192.0.2.1 id=7 packets=3');
    expect(flowLine(ping)).toMatch(/bytes=200 age=0 port=-$/);
    const bare = { ...ends, sourcePort: null, destinationPort: null };
    expect(flowLine({ ...ping, protocol: '47', original: bare })).toContain('src=10.1.0.2 dst=192.0.2.1 packets=3');
  });

  test('events', () => {
    const flow = madeFlow(0);
    expect(eventLine({ event: 'new', flow })).toBe(`    [NEW] ${flowLine(flow)} bridge=tb0`);
    expect(eventLine({ event: 'update', flow })).toMatch(/^ \[UPDATE\] tcp /);
    expect(eventLine({ event: 'destroy', reason: 'timeout', flow })).toMatch(/^\[DESTROY\] tcp .* bridge=tb0 reason=timeout$/);
    expect(eventLine({ event: 'lost', lost: 12 })).toBe('   [LOST] 12 events that were not taken in time');
  });

  test('filters', () => {
    expect(flowQuery({ address: '192.0.2.0/24', port: '443', proto: 'TCP', state: 'ESTABLISHED', container: 'web' })).toEqual({
      address: '192.0.2.0/24',
      port: 443,
      protocol: 'tcp',
      state: 'established',
      portName: 'web',
    });
    expect(() => flowQuery({ port: 'http' })).toThrow(UsageError);
    expect(() => refuseFilter({ state: 'established' })).toThrow('--state chooses flows');
    expect(() => refuseFilter({})).not.toThrow();
  });
});

describe('rules', () => {
  test('as they are written', () => {
    expect(parseRule(['deny'], {})).toEqual({ action: 'deny' });
    expect(parseRule(['allow', 'in'], { proto: 'TCP', remote: '192.0.2.0/24', ports: '80-90', container: 'web' })).toEqual({
      action: 'allow',
      direction: 'in',
      protocol: 'tcp',
      remote: '192.0.2.0/24',
      ports: '80-90',
      port: 'web',
    });
  });

  test.each([[[]], [['drop']], [['in']], [['deny', 'up']], [['deny', 'in', 'out']], [['toString']]])(
    '%j tells the form',
    (what) => {
      expect(() => parseRule(what, {})).toThrow(
        expect.objectContaining({ hint: expect.stringContaining('add allow|deny [in|out|both]') }),
      );
    },
  );
});

describe('settings', () => {
  test('of a bridge', () => {
    const pairs = parsePairs(['uplink=eth0,eth1', 'internal=off', 'icc=no', 'egress=192.0.2.7', 'mss-clamp=on']);
    const change = { uplink: 'eth0,eth1', internal: false, icc: false, egressAddress: '192.0.2.7', mssClamp: 'on' };
    expect(bridgeChange(pairs)).toEqual(change);
    expect(bridgeChange(parsePairs(['egress=none']))).toEqual({ egressAddress: null });
    expect(() => bridgeChange(parsePairs(['mss-clamp=1400']))).toThrow('mss-clamp is auto, on or off');
    expect(() => bridgeChange(parsePairs(['egress=eth0']))).toThrow('egress is an IPv4 address or none');
  });

  test('of a port', () => {
    expect(portChange(parsePairs(['egress=192.0.2.7']))).toEqual({ egressAddress: '192.0.2.7' });
    expect(portChange(parsePairs(['egress=none']))).toEqual({ egressAddress: null });
    expect(attachRequest('web', { netns: 'web', egress: '192.0.2.7' }).egressAddress).toBe('192.0.2.7');
    expect(attachRequest('web', { netns: 'web' }).egressAddress).toBeUndefined();
  });
});

test('the way out of a bridge in one line', () => {
  const bridge = { name: 'tb0', uplink: 'auto', internal: false, icc: true, egressAddress: null, mssClamp: 'auto', rules: [] };
  const line = (change: object, uplinks: object[] = []) =>
    gatewayLine({ ...bridge, ...change } as unknown as BridgeInfo, uplinks as UplinkInfo[]);
  const eth0 = { interface: 'eth0', state: 'up', bridges: ['tb0'] };
  const other = { interface: 'eth9', state: 'up', bridges: ['tb9'] };
  expect(line({}, [eth0, other])).toBe('uplink auto: eth0 up, flows translated to its address, containers reach each other');
  expect(line({})).toContain('uplink auto: no interface at present');
  expect(line({ internal: true }, [eth0])).toMatch(/^internal: no way to the outside,/);
  expect(line({ uplink: 'none', icc: false, mssClamp: 'on', rules: [{ action: 'deny' }] })).toBe(
    'no uplink, containers do not reach each other, MSS clamping on, 1 rule',
  );
  expect(line({ egressAddress: '192.0.2.7' }, [eth0])).toContain('flows translated to 192.0.2.7');
});
