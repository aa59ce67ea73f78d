/** set BRIDGE [PORT] key=value... */
import type { Command } from 'commander';
import type { ChangeBridge, ChangePort } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { UsageError } from './failure.js';
import { print, printJson } from './output.js';
import { RATE_KEYS, type RateKey, ratesGiven } from './rates.js';
import { egressAddress, fraction, micros, mssClamp, onOff, wholeNumber } from './values.js';

const BRIDGE_KEYS: Record<string, (text: string) => ChangeBridge> = {
  mtu: (text) => ({ mtu: wholeNumber('mtu', text) }),
  ageing: (text) => ({ ageingSeconds: wholeNumber('ageing', text) }),
  'fdb-limit': (text) => ({ fdbLimit: wholeNumber('fdb-limit', text) }),
  'arp-proxy': (text) => ({ arpProxy: onOff('arp-proxy', text) }),
  'group-forward-mask': (text) => ({ groupForwardMask: wholeNumber('group-forward-mask', text) }),
  uplink: (text) => ({ uplink: text }),
  internal: (text) => ({ internal: onOff('internal', text) }),
  icc: (text) => ({ icc: onOff('icc', text) }),
  egress: (text) => ({ egressAddress: egressAddress('egress', text) }),
  'mss-clamp': (text) => ({ mssClamp: mssClamp('mss-clamp', text) }),
};

const FLAGS = {
  up: 'up',
  learning: 'learning',
  'flood-unicast': 'floodUnicast',
  'flood-multicast': 'floodMulticast',
  'flood-broadcast': 'floodBroadcast',
  hairpin: 'hairpin',
  isolated: 'isolated',
  locked: 'locked',
  'source-guard': 'sourceGuard',
} as const;
const FRACTIONS = ['loss', 'duplicate', 'reorder', 'corrupt'] as const;
const TIMES = { delay: 'delayMicros', jitter: 'jitterMicros' } as const;

const BRIDGE_SETTINGS = Object.keys(BRIDGE_KEYS);
const PORT_SETTINGS = [
  ...Object.keys(FLAGS),
  'mtu',
  'mac-limit',
  'egress',
  ...RATE_KEYS,
  ...FRACTIONS,
  ...Object.keys(TIMES),
  'seed',
  'faults',
];

export function setCommand(): Command {
  return clientCommand('set', 'change settings of a bridge or of a port')
    .argument('<bridge>')
    .argument('<settings...>', '[PORT] key=value ...')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Of a bridge: ${BRIDGE_SETTINGS.join(', ')}
Of a port:   ${PORT_SETTINGS.join(', ')}

  tapbridge set tb0 ageing=60 arp-proxy=off
  tapbridge set tb0 uplink=eth0,eth1 egress=192.0.2.7
  tapbridge set tb0 web egress=none                  as the bridge has it
  tapbridge set tb0 web isolated=on loss=1% delay=5ms
  tapbridge set tb0 web faults=off
  tapbridge set tb0 web rate-in=100mbit rate-out=10mbit burst-out=256k
  tapbridge set tb0 web rate-in=off`,
    )
    .action((bridge: string, settings: string[], options: ClientOptions) =>
      withClient(`set ${bridge}`, options, async (client) => {
        const port = settings[0].includes('=') ? undefined : settings[0];
        const pairs = parsePairs(port === undefined ? settings : settings.slice(1));
        const changed =
          port === undefined
            ? await client.changeBridge(bridge, bridgeChange(pairs))
            : await client.changePort(bridge, port, portChange(pairs));
        if (options.json) return printJson(changed);
        await print(`${port === undefined ? bridge : `${bridge} ${port}`} changed\n`);
      }),
    );
}

type Pair = [key: string, value: string];

/** @throws UsageError */
export function parsePairs(texts: readonly string[]): Pair[] {
  if (texts.length === 0) throw new UsageError('nothing to set', 'add key=value, see tapbridge set --help');
  return texts.map((text) => {
    const at = text.indexOf('=');
    if (at <= 0) throw new UsageError(`${JSON.stringify(text)} is not of the form key=value`, 'see tapbridge set --help');
    return [text.slice(0, at), text.slice(at + 1)];
  });
}

/** @throws UsageError */
export function bridgeChange(pairs: readonly Pair[]): ChangeBridge {
  const change: ChangeBridge = {};
  for (const [key, value] of pairs) {
    const apply = Object.hasOwn(BRIDGE_KEYS, key) ? BRIDGE_KEYS[key] : undefined;
    if (apply === undefined) throw new UsageError(`a bridge has no setting ${key}`, `there are: ${BRIDGE_SETTINGS.join(', ')}`);
    Object.assign(change, apply(value));
  }
  return change;
}

/** @throws UsageError */
export function portChange(pairs: readonly Pair[]): ChangePort {
  const change: ChangePort = {};
  const rates: { [Key in RateKey]?: string } = {};
  for (const [key, value] of pairs) {
    if (Object.hasOwn(FLAGS, key)) {
      change.flags = { ...change.flags, [FLAGS[key as keyof typeof FLAGS]]: onOff(key, value) };
    } else if ((FRACTIONS as readonly string[]).includes(key)) {
      change.faults = { ...change.faults, [key]: fraction(key, value) };
    } else if (Object.hasOwn(TIMES, key)) {
      change.faults = { ...change.faults, [TIMES[key as keyof typeof TIMES]]: micros(key, value) };
    } else if (key === 'seed') {
      change.faults = { ...change.faults, seed: wholeNumber(key, value) };
    } else if (key === 'faults') {
      if (value !== 'off')
        throw new UsageError('faults can only be set to off', 'set loss, duplicate, reorder, corrupt, delay or jitter');
      change.faults = null;
    } else if (key === 'mtu') {
      change.mtu = wholeNumber(key, value);
    } else if (key === 'egress') {
      change.egressAddress = egressAddress(key, value);
    } else if ((RATE_KEYS as readonly string[]).includes(key)) {
      rates[key as RateKey] = value;
    } else if (key === 'mac-limit') {
      change.macLimit = wholeNumber(key, value);
    } else {
      throw new UsageError(`a port has no setting ${key}`, `there are: ${PORT_SETTINGS.join(', ')}`);
    }
  }
  change.rates = ratesGiven(rates);
  return change;
}
