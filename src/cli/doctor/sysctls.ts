/** Settings of the host's own stack that touch what tapbridge does. None of them is changed by it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultRanges } from '../../control/nat-options.js';
import { type Finding, fail, ok, warn } from './finding.js';

const AREA = 'host';
/** Fewer are soon used up by connections to one destination. */
const FEW_PORTS = 8192;
const PORTS = 0xffff;

/** @param root of the sysctls: /proc/sys @param ranges configured ones of `nat.ranges`, null: the default */
export function checkSysctls(root: string, ranges: readonly (readonly [number, number])[] | null): Finding[] {
  return [localPorts(root, ranges), forwarding(root), reversePath(root), bridgeFilters(root)];
}

function localPorts(root: string, ranges: readonly (readonly [number, number])[] | null): Finding {
  const name = 'net.ipv4.ip_local_port_range';
  const [first, last] = (read(root, 'net/ipv4/ip_local_port_range') ?? '32768 60999').split(/\s+/).map(Number);
  const given = ranges ?? defaultRanges(first, last);
  const shared = given.find(([low, high]) => low <= last && first <= high);
  if (shared !== undefined) {
    return fail(
      AREA,
      `nat.ranges has ${shared.join('-')}, and the host takes ports from ${first} to ${last} for its own connections`,
      'answers to one of the two can reach the other',
      `choose nat.ranges outside of them, or "sysctl ${name}='32768 60999'" (and the same in /etc/sysctl.d)`,
    );
  }
  const count = given.reduce((sum, [low, high]) => sum + high - low + 1, 0);
  if (count < FEW_PORTS) {
    const found = `${name} is ${first} to ${last}, which leaves ${count} of ${PORTS} ports to translated connections`;
    return warn(AREA, found, 'containers run out of ports towards one destination early', `sysctl -w ${name}='32768 60999'`);
  }
  return ok(AREA, `${count} ports for translated connections, outside of the host's own ${first} to ${last}`);
}

function forwarding(root: string): Finding {
  const on = read(root, 'net/ipv4/ip_forward') === '1';
  return ok(
    AREA,
    on
      ? 'ip_forward is 1: not needed, and what the kernel forwards into a bridge is dropped there (rx_spoofed)'
      : 'ip_forward is 0: not needed',
  );
}

/** Strict filters concern what the host's own stack takes; the gateway hears uplinks below it. */
function reversePath(root: string): Finding {
  const folder = join(root, 'net/ipv4/conf');
  const strict = (existsSync(folder) ? readdirSync(folder) : []).filter(
    (name) => read(root, `net/ipv4/conf/${name}/rp_filter`) === '1',
  );
  if (strict.length === 0) return ok(AREA, 'rp_filter is off or loose');
  return ok(AREA, `rp_filter is strict on ${strict.slice(0, 5).join(', ')}: the gateway is not touched by it`);
}

function bridgeFilters(root: string): Finding {
  const on = read(root, 'net/bridge/bridge-nf-call-iptables') === '1';
  return ok(AREA, on ? 'bridge-nf-call-iptables is 1: it filters kernel bridges, not these' : 'no netfilter on kernel bridges');
}

function read(root: string, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'latin1').trim();
  } catch {
    return undefined;
  }
}
