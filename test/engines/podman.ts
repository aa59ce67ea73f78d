/**
 * A real podman (Debian's, with its CNI backend) whose host is a namespace of a lab; all it stores is in one folder.
 *
 * Rootful, cgroups by cgroupfs: nothing here needs systemd. `close` ends what runs, unmounts, and removes the folder.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeImage } from '../../src/lab/container-image.js';
import type { CliResult } from '../helpers/daemon.js';
import { type CniWorld, REFERENCE_PLUGINS } from './cni-world.js';

export const IMAGE = 'localhost/box';
/** Answers GET /cgi-bin/who with the address of who asks. */
export const WEB_SERVER = ['httpd', '-f', '-p', '80', '-h', '/var/www'];
export const IDLE = ['sleep', '100000'];
const FILES = {
  'var/www/index.html': 'hello\n',
  'var/www/cgi-bin/who':
    // The server listens by IPv6: an IPv4 address is mapped, in brackets.
    '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\necho "$REMOTE_ADDR" | sed "s/.*ffff://; s/]//"\n',
};
/** Cgroups all podmans of the machine have in common; they go when nothing runs in them. */
const CGROUPS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];

export class Podman {
  readonly folder: string;
  private readonly world: CniWorld;

  private constructor(world: CniWorld) {
    this.world = world;
    this.folder = mkdtempSync(join(tmpdir(), 'tbpodman-'));
    for (const name of ['root', 'run', 'tmp']) mkdirSync(join(this.folder, name));
    writeFileSync(join(this.folder, 'containers.conf'), this.configuration());
  }

  /** With an image of busybox. */
  static async start(world: CniWorld): Promise<Podman> {
    const podman = new Podman(world);
    try {
      const tar = join(podman.folder, 'image.tar');
      writeImage(tar, { programs: ['iperf3'], files: FILES });
      await podman.ask('import', '--quiet', tar, IMAGE);
      return podman;
    } catch (error) {
      await podman.close();
      throw error;
    }
  }

  /** Runs podman on the lab's host. */
  run(...args: string[]): Promise<CliResult> {
    const { folder } = this;
    const own = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'overlay'];
    return this.world.run('podman', [...own, ...args], { CONTAINERS_CONF: join(folder, 'containers.conf') });
  }

  /** @returns its output @throws Error with what podman said */
  async ask(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...args);
    if (status !== 0) throw new Error(`podman ${args.join(' ')}: status ${status}: ${stderr.trim()}`);
    return stdout.trim();
  }

  /** `podman run -d`. @returns the container's id */
  start(name: string, network: string, options: readonly string[], command: readonly string[] = IDLE): Promise<string> {
    return this.ask(
      'run',
      '--detach',
      '--name',
      name,
      '--network',
      network,
      '--stop-timeout',
      '0',
      ...options,
      IMAGE,
      ...command,
    );
  }

  exec(container: string, ...command: string[]): Promise<string> {
    return this.ask('exec', container, ...command);
  }

  /** 'address/prefix' and MAC of the container's eth0. */
  async interfaceOf(container: string): Promise<{ address: string; mac: string }> {
    const said = await this.exec(container, 'ip', 'addr', 'show', 'eth0');
    return { address: /inet ([0-9./]+)/.exec(said)?.[1] ?? '', mac: /link\/ether ([0-9a-f:]+)/.exec(said)?.[1] ?? '' };
  }

  async removeContainers(): Promise<void> {
    await this.run('rm', '--force', '--all', '--time', '0');
  }

  async close(): Promise<void> {
    await this.removeContainers();
    for (const mount of mountsBelow(this.folder)) spawnSync('umount', ['--lazy', mount]);
    for (const group of CGROUPS) removeCgroup(join(group, 'libpod_parent'));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private configuration(): string {
    const { plugins, networks } = this.world;
    return [
      '[containers]',
      'log_driver = "k8s-file"',
      // Without CAP_SYS_RESOURCE its own limits cannot be set.
      'default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]',
      '[engine]',
      'cgroup_manager = "cgroupfs"',
      'events_logger = "file"',
      'runtime = "runc"',
      `tmp_dir = ${JSON.stringify(join(this.folder, 'tmp'))}`,
      '[network]',
      'network_backend = "cni"',
      `cni_plugin_dirs = ${JSON.stringify([plugins, REFERENCE_PLUGINS])}`,
      `network_config_dir = ${JSON.stringify(networks)}`,
      '',
    ].join('\n');
  }
}

/** Innermost first. */
function mountsBelow(folder: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const points = lines.map((line) => line.split(' ')[4] ?? '').filter((point) => point.startsWith(`${folder}/`));
  return points.sort().reverse();
}

function removeCgroup(path: string): void {
  for (const each of [join(path, 'conmon'), path]) {
    try {
      rmdirSync(each);
    } catch {
      // Not there, or another podman's containers are in it.
    }
  }
}
