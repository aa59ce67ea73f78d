import { describe, expect, test } from 'vitest';
import { Action, Direction, Policy, RULE_LIMIT, type Rule } from '../../src/gateway/policy.js';
import { Protocol } from '../../src/wire/ipv4.js';
import { ip } from './made-batch.js';

const { in: inward, out } = Direction;

function rule(action: number, rest: Partial<Rule> = {}): Rule {
  return { action, direction: Direction.both, protocol: 0, network: 0, prefix: 0, portLow: 0, portHigh: 65535, ...rest };
}

const deny = (rest: Partial<Rule> = {}) => rule(Action.deny, rest);
const allow = (rest: Partial<Rule> = {}) => rule(Action.allow, rest);
const port = (number: number) => ({ portLow: number, portHigh: number });

/** Whether bridge 1 and its port 5 let a TCP flow out to 8.8.8.8, or to who is given. */
function out8(policy: Policy, destinationPort: number, remote = '8.8.8.8', protocol: number = Protocol.tcp): boolean {
  return policy.permits(1, 5, out, protocol, ip(remote), destinationPort);
}

describe('policy', () => {
  test('without rules everything is allowed', () => {
    expect(out8(new Policy(4, 16), 80)).toBe(true);
  });

  test('the first rule that matches decides; what no rule matches is allowed', () => {
    const policy = new Policy(4, 16);
    policy.setBridge(1, [allow(port(443)), deny({ portLow: 1, portHigh: 1023 }), allow(port(80))]);
    expect([443, 80, 1023, 1024].map((number) => out8(policy, number))).toEqual([true, false, false, true]);
  });

  test('address, protocol and direction are looked at', () => {
    const policy = new Policy(4, 16);
    policy.setBridge(1, [
      deny({ network: ip('8.8.0.0'), prefix: 16, protocol: Protocol.tcp, direction: out }),
      deny({ network: ip('9.9.9.9'), prefix: 32, direction: inward }),
    ]);
    expect(out8(policy, 80)).toBe(false);
    expect(out8(policy, 80, '8.9.0.1')).toBe(true);
    expect(out8(policy, 80, '8.8.8.8', Protocol.udp)).toBe(true);
    expect(policy.permits(1, 5, inward, Protocol.tcp, ip('8.8.8.8'), 80)).toBe(true);
    expect(policy.permits(1, 5, inward, Protocol.udp, ip('9.9.9.9'), 53)).toBe(false);
    expect(out8(policy, 80, '9.9.9.9')).toBe(true);
  });

  test("a port's rules come before its bridge's, and only for that port", () => {
    const policy = new Policy(4, 16);
    policy.setBridge(1, [deny()]);
    policy.setPort(5, [allow(port(80))]);
    expect([out8(policy, 80), out8(policy, 81)]).toEqual([true, false]);
    expect(policy.permits(1, 6, out, Protocol.tcp, ip('8.8.8.8'), 80)).toBe(false);
    expect(policy.permits(2, 6, out, Protocol.tcp, ip('8.8.8.8'), 80)).toBe(true);
    expect(policy.permits(1, -1, out, Protocol.tcp, ip('8.8.8.8'), 80)).toBe(false);
    policy.setPort(5, []);
    expect(out8(policy, 80)).toBe(false);
  });

  test('a protocol without ports matches rules for all ports only', () => {
    const policy = new Policy(4, 16);
    policy.setBridge(1, [allow(port(80)), deny({ protocol: Protocol.icmp })]);
    expect(policy.permits(1, 5, out, Protocol.icmp, ip('8.8.8.8'), 0)).toBe(false);
    policy.setBridge(1, [deny(port(80))]);
    expect(policy.permits(1, 5, out, Protocol.icmp, ip('8.8.8.8'), 0)).toBe(true);
  });

  test('host bits of a network do not matter, ports above 32767 do', () => {
    const policy = new Policy(4, 16);
    policy.setBridge(1, [deny({ network: ip('8.8.8.8'), prefix: 8, portLow: 40000, portHigh: 65534 })]);
    expect([39999, 40000, 65534, 65535].map((number) => out8(policy, number, '8.1.1.1'))).toEqual([true, false, false, true]);
  });

  test('1,024 rules fit, one more is refused and changes nothing', () => {
    const policy = new Policy(4, 16);
    const rules = Array.from({ length: RULE_LIMIT }, (_, n) => deny(port(n + 1)));
    policy.setBridge(1, rules);
    expect([out8(policy, 1024), out8(policy, 1025)]).toEqual([false, true]);
    expect(() => policy.setBridge(1, [...rules, deny()])).toThrow('1025 rules are more than the 1024');
    expect(out8(policy, 1025)).toBe(true);
  });
});
