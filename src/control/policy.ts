/** Rules of a bridge: from the text users write to the numbers the engine compares. */
import type { PolicyRule } from '../engine/protocol.js';
import { parseIpv4, parseIpv4Cidr } from '../wire/ipv4-address.js';
import { ControlError, orRefuse } from './control-error.js';
import { checkPortName } from './limits.js';
import type { Rule } from './model.js';
import type { BridgeRecord } from './records.js';

/** Of one bridge; they are asked once per flow, one after the other. */
export const MAX_RULES = 1024;
const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17 };
const MAX_PORT = 65_535;
const PORTS = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/;

/** @throws ControlError that names the rule by its position, from 1 on */
export function checkRules(rules: readonly Rule[]): void {
  if (rules.length > MAX_RULES) {
    throw new ControlError('invalid', `a bridge has at most ${MAX_RULES} rules, not ${rules.length}`, 'join networks or ports');
  }
  rules.forEach((rule, index) => {
    try {
      policyRule(rule, -1);
      if (rule.port !== undefined) checkPortName(rule.port);
    } catch (error) {
      const { message, hint } = error as ControlError;
      throw new ControlError('invalid', `rule ${index + 1}: ${message}`, hint, error);
    }
  });
}

/** @throws ControlError not-found for a rule about a port the bridge does not have */
export function checkRulePorts(bridge: BridgeRecord, rules: readonly Rule[]): void {
  const missing = rules.find(({ port }) => port !== undefined && !bridge.ports.has(port))?.port;
  if (missing === undefined) return;
  const names = [...bridge.ports.keys()].slice(0, 20).join(', ');
  const hint = names === '' ? 'attach it first' : `there are: ${names}`;
  throw new ControlError('not-found', `a rule is about port ${missing}, which bridge ${bridge.name} does not have`, hint);
}

/** Those in force: a rule about a port that is not attached yet waits for it. */
export function policyRules(bridge: BridgeRecord): PolicyRule[] {
  return bridge.routing.rules.flatMap((rule) => {
    if (rule.port === undefined) return [policyRule(rule, -1)];
    const port = bridge.ports.get(rule.port);
    return port === undefined ? [] : [policyRule(rule, port.number)];
  });
}

/** The number of 'tcp', 'udp', 'icmp' or of a number; 0 for absent, which means any. @throws ControlError */
export function protocolNumber(text: string | undefined): number {
  if (text === undefined) return 0;
  const number = PROTOCOLS[text.toLowerCase()] ?? (/^[0-9]{1,3}$/.test(text) ? Number(text) : -1);
  if (number < 1 || number > 255) {
    throw new ControlError('invalid', `${JSON.stringify(text)} is no protocol`, 'write tcp, udp, icmp or a number from 1 to 255');
  }
  return number;
}

export function protocolText(number: number): string {
  return Object.keys(PROTOCOLS).find((name) => PROTOCOLS[name] === number) ?? String(number);
}

/** An address or a network. @throws ControlError */
export function networkOf(text: string): { network: number; prefix: number } {
  if (!text.includes('/')) return { network: orRefuse('invalid', () => parseIpv4(text)), prefix: 32 };
  const { network, prefix } = orRefuse('invalid', () => parseIpv4Cidr(text));
  return { network, prefix };
}

function policyRule(rule: Rule, port: number): PolicyRule {
  const protocol = protocolNumber(rule.protocol);
  const remote = rule.remote === undefined ? { network: 0, prefix: 0 } : networkOf(rule.remote);
  const [portLow, portHigh] = portsOf(rule.ports);
  if (rule.ports !== undefined && protocol !== PROTOCOLS['tcp'] && protocol !== PROTOCOLS['udp']) {
    throw new ControlError('invalid', 'only TCP and UDP have ports', 'add the protocol tcp or udp');
  }
  return { action: rule.action, direction: rule.direction ?? 'both', protocol, ...remote, portLow, portHigh, port };
}

function portsOf(text: string | undefined): [number, number] {
  if (text === undefined) return [0, MAX_PORT];
  const match = PORTS.exec(text);
  const low = Number(match?.[1]);
  const high = Number(match?.[2] ?? match?.[1]);
  if (match === null || low > high || high > MAX_PORT) {
    throw new ControlError('invalid', `${JSON.stringify(text)} are no ports`, 'write 80 or 8000-8999, up to 65535');
  }
  return [low, high];
}
