/**
 * What system tests need of the machine. Where something is missing the tests are left out with one line that says what and how to get it; under
 * CI (environment CI=true) that is a failure, so that a green run there means that everything ran.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { whyCoresSleep } from '../../src/engine/awake.js';

const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

export type Requirement =
  | 'root'
  | 'bpf'
  | 'awake'
  | 'tap'
  | 'named-netns'
  | 'docker'
  | 'compose'
  | 'podman'
  | 'cnitool'
  | `tool:${string}`;

/** Programs of a real engine, and the one command that installs them. */
const ENGINES = {
  docker: {
    programs: ['dockerd', 'containerd', 'runc', 'iptables', 'busybox', 'iperf3', 'tcpdump'],
    command: 'apt-get install docker.io iptables busybox-static iperf3 tcpdump',
  },
  compose: { programs: ['docker-compose'], command: 'apt-get install docker-compose' },
  podman: {
    programs: ['podman', 'runc', 'iptables', 'busybox', '/usr/lib/cni/portmap', '/usr/lib/cni/host-local'],
    command: 'apt-get install podman runc containernetworking-plugins iptables busybox-static',
  },
  cnitool: {
    programs: ['go', 'dpkg-source', '/usr/lib/cni/host-local'],
    command: 'apt-get install golang-go dpkg-dev containernetworking-plugins',
  },
} as const;

/** Whether this process may make namespaces and interfaces: CAP_SYS_ADMIN and CAP_NET_ADMIN, as root or in a user namespace of its own. */
export function isRoot(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
  const bits = effective === null ? 0n : BigInt(`0x${effective[1]}`);
  return ((bits >> CAP_NET_ADMIN) & (bits >> CAP_SYS_ADMIN) & 1n) === 1n;
}

/** Whether TAPs can be opened. */
export function canTap(): boolean {
  return isRoot() && writable('/dev/net/tun');
}

/** Whether a program is there. @throws Error under CI when it is not. */
export function needs(tool: string): boolean {
  return report([`tool:${tool}`], `tests that compare with ${tool}`) === '';
}

/** `describe` for tests that need something of the machine; without it one skipped test stands in their place, named after what is missing. */
export function describeSystem(title: string, requirements: readonly Requirement[], body: () => void): void {
  const lacking = report(requirements, title);
  if (lacking === '') describe(title, body);
  // The machine lacks it: the report names what and how to get it. Under CI `report` has thrown already.
  else describe.skip(title, () => test(lacking, body));
}

const HOW: Record<Requirement, string> = {
  root: 'root (run as root, or under: unshare --user --map-root-user --net --mount)',
  bpf: 'root of the machine itself, not of a user namespace (for eBPF)',
  awake:
    'idle cores that may be kept awake (root of the machine itself, /dev/cpu_dma_latency, and POLL as their first idle state)',
  'named-netns': 'a /run that can be written (run as root; or mount a tmpfs on /run in a mount namespace of your own)',
  tap: '/dev/net/tun, readable and writable (modprobe tun)',
  docker: `a Docker engine (${ENGINES.docker.command})`,
  compose: `docker-compose (${ENGINES.compose.command})`,
  podman: `podman with CNI (${ENGINES.podman.command})`,
  cnitool: `what cnitool is built with (${ENGINES.cnitool.command})`,
};

/** '' when everything is there, else what is missing, told in one line. @throws Error with it under CI. */
function report(requirements: readonly Requirement[], title: string): string {
  const missing = requirements.filter((requirement) => !has(requirement));
  if (missing.length === 0) return '';
  const lacking = `needs ${missing.map((requirement) => HOW[requirement] ?? `the program ${requirement.slice(5)}`).join(' and ')}`;
  if (process.env['CI'] === 'true') throw new Error(`${title}: ${lacking}`);
  // Straight to the terminal: console output would be attached to a test, and none runs.
  process.stderr.write(`left out: ${title}: ${lacking}\n`);
  return lacking;
}

function has(requirement: Requirement): boolean {
  if (requirement === 'root') return isRoot();
  if (requirement === 'bpf') return isRoot() && /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'));
  if (requirement === 'awake') return whyCoresSleep() === null;
  if (requirement === 'tap') return canTap();
  if (requirement === 'named-netns') return isRoot() && writable(existsSync('/run/netns') ? '/run/netns' : '/run');
  if (requirement in ENGINES) return ENGINES[requirement as keyof typeof ENGINES].programs.every(isInstalled);
  return isInstalled(requirement.slice('tool:'.length));
}

function isInstalled(tool: string): boolean {
  return spawnSync('/bin/sh', ['-c', 'command -v -- "$0"', tool], { stdio: 'ignore' }).status === 0;
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
