/** What a number was measured on, and how busy that was meanwhile. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageVersion } from '../dist/daemon/version.js';
import { printable, toolVersion } from './tool-version.js';

export interface Machine {
  cpu: string;
  cores: number;
  memoryGib: number;
  kernel: string;
  node: string;
  v8: string;
  /** Whether the kernel says it runs under a hypervisor. */
  virtual: boolean;
  clockSource: string;
  /**
   * Bridge netfilter of the namespace the bench is started in: '1' sends bridged frames through iptables, 'absent' when the module is not loaded.
   * A new namespace, as drivers have, starts with '1' wherever the module is loaded.
   */
  bridgeNetfilter: string;
  started: string;
  os: string;
  /** Hardware threads that share a core. */
  threadsPerCore: number;
  /** 'none' where the kernel does not choose (most virtual machines). */
  frequencyGovernor: string;
  commandLine: string;
  /** Of /sys/devices/system/cpu/vulnerabilities: name → what the kernel does. */
  mitigations: Record<string, string>;
  congestionControl: string;
  queueingDiscipline: string;
  /** net.core.netdev_max_backlog. */
  backlog: string;
  tapbridge: { version: string; commit: string; dirty: boolean; addon: string };
  /** Program → version, of those that are installed. */
  tools: Record<string, string>;
}

/** Programs whose version may bear on a result. */
const TOOLS = ['ip', 'nft', 'ethtool', 'iperf3', 'ovs-vswitchd', 'vde_switch', 'pasta', 'slirp4netns'];
const ROOT = fileURLToPath(new URL('../', import.meta.url));
const CPU = '/sys/devices/system/cpu';

export function describeMachine(): Machine {
  const models = cpus();
  const bridgeNetfilter = '/proc/sys/net/bridge/bridge-nf-call-iptables';
  return {
    cpu: printable(models[0]?.model ?? '') || 'unknown',
    cores: models.length,
    threadsPerCore: threadsPerCore(),
    frequencyGovernor: line(`${CPU}/cpu0/cpufreq/scaling_governor`, 'none'),
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(read('/proc/cpuinfo')),
    memoryGib: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    os: printable(/^PRETTY_NAME="?([^"\n]*)/m.exec(read('/etc/os-release'))?.[1] ?? '') || 'unknown',
    kernel: release(),
    commandLine: line('/proc/cmdline', 'unknown'),
    mitigations: mitigations(),
    clockSource: line('/sys/devices/system/clocksource/clocksource0/current_clocksource', 'unknown'),
    bridgeNetfilter: line(bridgeNetfilter, 'absent'),
    congestionControl: line('/proc/sys/net/ipv4/tcp_congestion_control', 'unknown'),
    queueingDiscipline: line('/proc/sys/net/core/default_qdisc', 'unknown'),
    backlog: line('/proc/sys/net/core/netdev_max_backlog', 'unknown'),
    node: process.version,
    v8: process.versions.v8,
    tapbridge: { version: packageVersion(), ...checkout(), addon: addon() },
    tools: Object.fromEntries(TOOLS.map((name) => [name, toolVersion(name)] as const).filter(isInstalled)),
    started: new Date().toISOString(),
  };
}

function isInstalled(entry: readonly [string, string | null]): entry is readonly [string, string] {
  return entry[1] !== null;
}

function mitigations(): Record<string, string> {
  const folder = `${CPU}/vulnerabilities`;
  if (!existsSync(folder)) return {};
  return Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, line(`${folder}/${name}`, 'unknown')]),
  );
}

function threadsPerCore(): number {
  // '0-1,4', a list of processors.
  const siblings = line(`${CPU}/cpu0/topology/thread_siblings_list`, '0').split(',');
  return siblings.reduce((sum, range) => {
    const [first, last = first] = range.split('-').map(Number);
    return sum + last - first + 1;
  }, 0);
}

/** Which source this is; only where the package is the checkout itself, not a package inside of another one's. */
function checkout(): { commit: string; dirty: boolean } {
  const git = (...args: string[]) => spawnSync('git', ['-C', ROOT, ...args], { encoding: 'utf8' });
  const head = existsSync(join(ROOT, '.git')) ? git('rev-parse', 'HEAD') : null;
  if (head?.status !== 0) return { commit: 'none', dirty: false };
  return { commit: head.stdout.trim(), dirty: git('status', '--porcelain').stdout !== '' };
}

/** Which build of the addon: its digest tells two builds apart. */
function addon(): string {
  const path = process.env['TAPBRIDGE_ADDON'] ?? join(ROOT, 'build/Release/tapbridge.node');
  if (!existsSync(path)) return 'none';
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12);
  return `${basename(dirname(path))}, sha256 ${digest}`;
}

export interface CpuTimes {
  /** Seconds all cores together spent working, interrupts included. */
  busy: number;
  /** Seconds the hypervisor gave to others. */
  steal: number;
  at: number;
}

/** proc_stat(5): USER_HZ is 100 on every architecture Node runs on. */
export const TICKS_PER_SECOND = 100;

export function cpuTimes(): CpuTimes {
  const [user, nice, system, , , irq, softirq, steal] = read('/proc/stat')
    .split('\n')[0]
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return {
    busy: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    steal: steal / TICKS_PER_SECOND,
    at: performance.now() / 1000,
  };
}

/**
 * For what measures the start of a program: neither a service manager nor a container runtime hands on what a user has set for Node. With certificates
 * to read (NODE_EXTRA_CA_CERTS) its start takes twice as long.
 */
export function forgetNodeSettings(): void {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('NODE_')) delete process.env[name];
  }
}

/**
 * The numbers of a process, by their places in proc_pid_stat(5). The name in parentheses may contain anything, so they are counted from behind its end.
 * @param text of /proc/PID/stat
 */
export function statFields(text: string): (place: number) => number {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (place) => Number(fields[place - 3]);
}

/** Ticks a process has worked so far. @throws the system's error when it is gone */
export function ticksOf(pid: number): number {
  const field = statFields(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return field(14) + field(15);
}

/** What a file of one line says, or something else when there is none. */
function line(path: string, otherwise: string): string {
  return printable(read(path)) || otherwise;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
