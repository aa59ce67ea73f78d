import { describe, expect, test } from 'vitest';
import type { Rule } from '../../src/control/model.js';
import { checkRulePorts, checkRules, policyRules, protocolNumber, protocolText } from '../../src/control/policy.js';
import type { BridgeRecord } from '../../src/control/records.js';
import { changedRouting, defaultRouting } from '../../src/control/routing.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';

const bridge = (rules: Rule[]) =>
  ({ name: 'tb0', routing: { rules }, ports: new Map([['web', { number: 7 }]]) }) as unknown as BridgeRecord;

describe('rules', () => {
  test('from text to numbers', () => {
    const rules: Rule[] = [
      { action: 'deny', direction: 'out', protocol: 'tcp', remote: '10.0.0.9/8', ports: '25' },
      { action: 'allow', protocol: '47' },
      { action: 'deny', protocol: 'udp', remote: '192.0.2.1', ports: '8000-8999', port: 'web' },
    ];
    checkRules(rules);
    expect(policyRules(bridge(rules))).toEqual([
      {
        action: 'deny',
        direction: 'out',
        protocol: 6,
        network: parseIpv4('10.0.0.0'),
        prefix: 8,
        portLow: 25,
        portHigh: 25,
        port: -1,
      },
      { action: 'allow', direction: 'both', protocol: 47, network: 0, prefix: 0, portLow: 0, portHigh: 65_535, port: -1 },
      {
        action: 'deny',
        direction: 'both',
        protocol: 17,
        network: parseIpv4('192.0.2.1'),
        prefix: 32,
        portLow: 8000,
        portHigh: 8999,
        port: 7,
      },
    ]);
  });

  test('a rule about a port that is not attached waits for it; in a change it is an error', () => {
    const rules: Rule[] = [{ action: 'deny', port: 'db' }];
    expect(policyRules(bridge(rules))).toEqual([]);
    expect(() => checkRulePorts(bridge(rules), rules)).toThrow('a rule is about port db, which bridge tb0 does not have');
  });

  test.each([
    [{ action: 'deny', ports: '80' }, 'rule 1: only TCP and UDP have ports'],
    [{ action: 'deny', protocol: 'tcp', ports: '90-80' }, 'rule 1: "90-80" are no ports'],
    [{ action: 'deny', protocol: 'tcp', ports: '65536' }, 'rule 1: "65536" are no ports'],
    [{ action: 'deny', protocol: 'sctp' }, 'rule 1: "sctp" is no protocol'],
    [{ action: 'deny', protocol: '256' }, 'rule 1: "256" is no protocol'],
    [{ action: 'deny', remote: '10.0.0.0/33' }, 'rule 1: "10.0.0.0/33" is not an address with a prefix'],
    [{ action: 'deny', port: 'a b' }, 'rule 1: "a b" cannot name a port'],
  ] as [Rule, string][])('%j is refused', (rule, reason) => {
    expect(() => checkRules([rule])).toThrow(reason);
  });

  test('1,024 and no more', () => {
    const rules = Array.from({ length: 1024 }, (): Rule => ({ action: 'deny' }));
    expect(() => checkRules(rules)).not.toThrow();
    expect(() => checkRules([...rules, { action: 'deny' }])).toThrow('at most 1024 rules, not 1025');
  });

  test('protocols by name and number, and back', () => {
    expect(['tcp', 'UDP', 'icmp', '1', '255'].map(protocolNumber)).toEqual([6, 17, 1, 1, 255]);
    expect([6, 17, 1, 47].map(protocolText)).toEqual(['tcp', 'udp', 'icmp', '47']);
  });
});

describe('the way out', () => {
  test('auto with a subnet, none without', () => {
    expect(defaultRouting(true).uplink).toBe('auto');
    expect(defaultRouting(false).uplink).toBe('none');
  });

  test.each([
    [{ uplink: 'auto' }, 'an uplink needs a gateway'],
    [{ uplink: 'eth0' }, 'an uplink needs a gateway'],
    [{ internal: true }, 'internal needs a gateway'],
    [{ egressAddress: '192.0.2.2' }, 'an egress address needs a gateway'],
    [{ mssClamp: 'on' }, 'MSS clamping needs a gateway'],
    [{ rules: [{ action: 'deny' }] }, 'rules need a gateway'],
  ] as const)('%j makes no sense without a subnet', (request, reason) => {
    const asked = { ...request, rules: 'rules' in request ? [...request.rules] : undefined };
    expect(() => changedRouting(defaultRouting(false), asked, false)).toThrow(reason);
  });

  test('names are cleaned, what is not asked for stays', () => {
    const routing = changedRouting(defaultRouting(true), { uplink: 'eth0, eth1,eth0' }, true);
    expect(routing.uplink).toBe('eth0,eth1');
    expect(changedRouting(routing, { icc: false }, true)).toEqual({ ...routing, icc: false });
    expect(() => changedRouting(routing, { uplink: 'eth0,,eth1' }, true)).toThrow('it is empty');
    expect(() => changedRouting(routing, { egressAddress: '127.0.0.1' }, true)).toThrow('no address of a host');
  });
});
