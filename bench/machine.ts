/** What a number was measured on, and how busy that was meanwhile. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

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
  /** Bridge netfilter of a new namespace: '1' sends bridged frames through iptables, 'absent' when the module is not loaded. */
  bridgeNetfilter: string;
  started: string;
}

export function describeMachine(): Machine {
  const models = cpus();
  return {
    cpu: models[0]?.model ?? 'unknown',
    cores: models.length,
    memoryGib: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    kernel: release(),
    node: process.version,
    v8: process.versions.v8,
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(read('/proc/cpuinfo')),
    clockSource: read('/sys/devices/system/clocksource/clocksource0/current_clocksource').trim(),
    bridgeNetfilter: read('/proc/sys/net/bridge/bridge-nf-call-iptables').trim() || 'absent',
    started: new Date().toISOString(),
  };
}

export interface CpuTimes {
  /** Seconds all cores together spent working, interrupts included. */
  busy: number;
  /** Seconds the hypervisor gave to others. */
  steal: number;
  at: number;
}

/** proc_stat(5): USER_HZ is 100 on every architecture Node runs on. */
const TICKS_PER_SECOND = 100;

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

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
