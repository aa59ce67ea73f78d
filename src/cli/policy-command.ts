/** policy BRIDGE [add|rm] */
import { Argument, type Command } from 'commander';
import type { Client } from '../client/client.js';
import type { Rule } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { UsageError } from './failure.js';
import { print, printJson, printTable } from './output.js';
import { wholeNumber } from './values.js';

interface RuleOptions {
  proto?: string;
  remote?: string;
  ports?: string;
  container?: string;
  at?: string;
}
type Options = ClientOptions & RuleOptions;

const OF_A_RULE = ['proto', 'remote', 'ports', 'container', 'at'] as const satisfies (keyof RuleOptions)[];
const ADD_FORM = 'write: policy BRIDGE add allow|deny [in|out|both]';
const ACTIONS: readonly string[] = ['allow', 'deny'] satisfies Rule['action'][];
const DIRECTIONS: readonly string[] = ['in', 'out', 'both'] satisfies Rule['direction'][];

export function policyCommand(): Command {
  return clientCommand('policy', 'list or change which flows of a bridge are allowed')
    .argument('<bridge>')
    .addArgument(new Argument('[action]', 'lists the rules without it').choices(['add', 'rm']))
    .argument('[what...]', 'add: allow|deny [in|out|both]; rm: the number of a rule')
    .option('--proto <protocol>', 'tcp, udp, icmp or a protocol number (default: any)')
    .option('--remote <ip|cidr>', 'the far end (default: any)')
    .option('--ports <a-b>', 'destination port or range (default: any)')
    .option('--container <port>', 'only the container behind this port (default: all)')
    .option('--at <n>', 'number the new rule gets (default: behind the last)')
    .option('--json', 'print the rules as JSON')
    .addHelpText(
      'after',
      `
Rules are asked in order, once for each flow; the first that matches decides, without one the flow is allowed. What is not
published stays unreachable from outside, whatever the rules say.

  tapbridge policy tb0 add deny out --proto tcp --ports 25
  tapbridge policy tb0 add allow in --remote 198.51.100.0/24 --container web --at 1
  tapbridge policy tb0 rm 2`,
    )
    .action((bridge: string, action: 'add' | 'rm' | undefined, what: string[], options: Options) =>
      withClient(`policy ${bridge}`, options, async (client) => {
        if (action !== 'add') refuseRuleOptions(options);
        if (action === 'add') await add(client, bridge, what, options);
        else if (action === 'rm') await remove(client, bridge, what, options);
        else await show((await client.getBridge(bridge)).rules, options);
      }),
    );
}

async function add(client: Client, bridge: string, what: readonly string[], options: Options): Promise<void> {
  const rule = parseRule(what, options);
  const { rules } = await client.getBridge(bridge);
  const at = options.at === undefined ? rules.length + 1 : ruleNumber('--at', options.at, rules.length + 1);
  const changed = await client.changeBridge(bridge, { rules: rules.toSpliced(at - 1, 0, rule) });
  if (options.json) return printJson(changed.rules);
  await print(`rule ${at} of ${bridge}: ${ruleText(rule)}\n`);
}

async function remove(client: Client, bridge: string, what: readonly string[], options: Options): Promise<void> {
  if (what.length !== 1) throw new UsageError('rm takes the number of one rule', `see tapbridge policy ${bridge}`);
  const { rules } = await client.getBridge(bridge);
  if (rules.length === 0) throw new UsageError(`${bridge} has no rules`);
  const number = ruleNumber('the rule', what[0], rules.length);
  const changed = await client.changeBridge(bridge, { rules: rules.toSpliced(number - 1, 1) });
  if (options.json) return printJson(changed.rules);
  await print(`removed: ${ruleText(rules[number - 1])}\n`);
}

async function show(rules: readonly Rule[], { json }: ClientOptions): Promise<void> {
  if (json) return printJson(rules);
  await printTable(
    [
      { title: 'N', align: 'right' },
      { title: 'ACTION' },
      { title: 'DIRECTION' },
      { title: 'PROTO' },
      { title: 'REMOTE' },
      { title: 'PORTS' },
      { title: 'CONTAINER' },
    ],
    rules.map(({ action, direction = 'both', protocol = 'any', remote = 'any', ports = 'any', port = 'any' }, index) => [
      index + 1,
      action,
      direction,
      protocol,
      remote,
      ports,
      port,
    ]),
  );
}

/** @throws UsageError */
export function parseRule([action, direction, ...more]: readonly string[], options: RuleOptions): Rule {
  if (action === undefined || !ACTIONS.includes(action)) {
    throw new UsageError(
      `a rule allows or denies${action === undefined ? '' : `, it cannot ${JSON.stringify(action)}`}`,
      ADD_FORM,
    );
  }
  if ((direction !== undefined && !DIRECTIONS.includes(direction)) || more.length > 0) {
    throw new UsageError(`${JSON.stringify(more[0] ?? direction)} is no direction`, ADD_FORM);
  }
  const { proto, remote, ports, container } = options;
  return {
    action: action as Rule['action'],
    direction: direction as Rule['direction'],
    protocol: proto?.toLowerCase(),
    remote,
    ports,
    port: container,
  };
}

/** 'deny out tcp 198.51.100.0/24 ports 25 of web' */
function ruleText({ action, direction = 'both', protocol, remote, ports, port }: Rule): string {
  return [
    action,
    direction,
    protocol ?? 'any protocol',
    ...(remote === undefined ? [] : [remote]),
    ...(ports === undefined ? [] : [`ports ${ports}`]),
    ...(port === undefined ? [] : [`of ${port}`]),
  ].join(' ');
}

function ruleNumber(what: string, text: string, last: number): number {
  const number = wholeNumber(what, text);
  if (number < 1 || number > last) throw new UsageError(`${what} must be from 1 to ${last}, not ${number}`);
  return number;
}

function refuseRuleOptions(options: RuleOptions): void {
  const given = OF_A_RULE.find((name) => options[name] !== undefined);
  if (given !== undefined) throw new UsageError(`--${given} is of a new rule`, ADD_FORM);
}
