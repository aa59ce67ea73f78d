/**
 * What the drivers with a real Docker engine share: the engine in a namespace of the lab, and hosts that live in the network namespaces of its
 * containers. Generators and sinks are the lab's processes, which enter them; the servers of the request types are the containers' own programs.
 */
import { join } from 'node:path';
import { writeImage } from '../../../dist/lab/container-image.js';
import { DockerEngine, type EngineOptions } from '../../../dist/lab/docker-engine.js';
import type { Lab } from '../../../dist/lab/lab.js';
import type { LabHost } from '../../../dist/lab/lab-host.js';
import type { LabNamespace } from '../../../dist/lab/lab-namespace.js';
import { listAddresses } from '../../../dist/netlink/address.js';
import { getLink } from '../../../dist/netlink/link.js';
import { nginxConfig, PAGE, REDIS_ARGUMENTS } from '../request-servers.js';
import { connectByUplink, NAT_PORTS } from './nat-uplink.js';

const IMAGE = 'bench';
/** The containers' side of 198.18.0.0/24: the gateway leaves A and B to the hosts. */
export const GATEWAY = '198.18.0.254';

export const ENGINE_NEEDS = [
  { command: 'dockerd', package: 'docker.io' },
  { command: 'containerd', package: 'containerd' },
  { command: 'iptables', package: 'iptables' },
  { command: 'busybox', package: 'busybox-static' },
] as const;
export const SERVER_NEEDS = [
  { command: 'nginx', package: 'nginx-light' },
  { command: 'redis-server', package: 'redis-server' },
] as const;

const FILES = {
  'etc/nginx.conf': nginxConfig({ folder: '/tmp', root: '/var/www', pid: '/run/nginx.pid' }),
  'var/www/index.html': PAGE,
};
/** Programs of the image in which servers run. */
export const SERVER_PROGRAMS = ['nginx', 'redis-server'];
const SERVERS = ['sh', '-c', 'nginx -c /etc/nginx.conf && exec redis-server "$@"', 'sh', ...REDIS_ARGUMENTS];
const NOTHING = ['sleep', '1000000'];
const DESCRIPTORS = 1024;

/** An engine with the bench's image. @param programs of the image */
export async function startEngine(
  lab: Lab,
  namespace: LabNamespace,
  programs: readonly string[],
  options: EngineOptions = {},
): Promise<DockerEngine> {
  const engine = await DockerEngine.start(lab, namespace, options);
  const tar = join(lab.folder, 'image.tar');
  writeImage(tar, { programs, files: programs.length > 0 ? FILES : {} });
  await engine.importImage(IMAGE, tar);
  return engine;
}

/** Two containers of a network, a before b. @param options of each one's `docker run` */
export async function runPair(
  lab: Lab,
  engine: DockerEngine,
  options: { a: string[]; b: string[] },
): Promise<{ a: LabHost; b: LabHost }> {
  // One after the other: docker0 gives out addresses in this order.
  await engine.ask(...runArguments('box-a', options.a), ...NOTHING);
  await engine.ask(...runArguments('box-b', options.b), ...NOTHING);
  const [a, b] = await Promise.all([engine.sandboxOf('box-a'), engine.sandboxOf('box-b')]);
  return { a: await lab.host('a', a), b: await lab.host('b', b) };
}

/** A container with published servers, and b at the other end of the host's uplink. */
export async function runPublished(
  lab: Lab,
  engine: DockerEngine,
  b: LabHost,
  options: string[],
): Promise<{ a: LabHost; b: LabHost }> {
  const ports = NAT_PORTS.flatMap((port) => ['--publish', `${port}:${port}`]);
  await engine.ask(...runArguments('box-a', [...options, ...ports]), ...SERVERS);
  return { a: await lab.host('a', await engine.sandboxOf('box-a')), b };
}

/** The host's uplink and who is behind it. */
export async function outsideOf(lab: Lab, host: LabNamespace): Promise<LabHost> {
  const b = await lab.host('b');
  connectByUplink(host, b);
  return b;
}

/** Address of eth0. */
export function addressOf({ namespace: { netlink } }: LabHost): string {
  const { index } = getLink(netlink, 'eth0');
  const found = listAddresses(netlink, index).find(({ address }) => address.includes('.'));
  if (found === undefined) throw new Error('the container has no IPv4 address');
  return found.address;
}

function runArguments(name: string, options: readonly string[]): string[] {
  const limits = ['--ulimit', `nofile=${DESCRIPTORS}:${DESCRIPTORS}`];
  return ['run', '--detach', '--name', name, '--stop-timeout', '1', ...limits, ...options, IMAGE];
}
