/** The daemon as a plugin of Docker: its socket where dockerd looks, its record beside the daemon's own, names from Docker's API. */
import { lstatSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Control } from '../control/control.js';
import { ControlError } from '../control/control-error.js';
import type { HealthSource } from '../control/health.js';
import { type Log, reasonOf } from '../control/log.js';
import { removeDirectories } from '../control/made-directories.js';
import type { HealthCheck } from '../control/model.js';
import { DEFAULT_DRIVER, Docker, driverNameProblem, pluginSocket } from '../docker/docker.js';
import { recordIn } from '../docker/docker-record.js';
import { DOCKER_SOCKET, EngineApi, engineSocket } from '../docker/engine-api.js';
import { checkDefaultPools, type DefaultPool } from '../docker/ipam-driver.js';
import { Names } from '../docker/names.js';
import type { Binding } from '../native/binding.js';
import type { DockerNetworks } from './docker-networks.js';
import { claimSocket, listen } from './socket.js';

/** For calls that are under way at the end; what takes longer is refused by control, which is stopping. */
const FINISH_MILLIS = 1000;

export interface DockerPluginOptions {
  /** Of the driver, as in `docker network create -d NAME`; default tapbridge. */
  name?: string | undefined;
  /** Socket of Docker's own API; default: by DOCKER_HOST, else /var/run/docker.sock. */
  api?: string | undefined;
  /** Subnets for networks whose users choose none. */
  pools?: readonly DefaultPool[] | undefined;
}

export interface DockerPlugin extends HealthSource, DockerNetworks {
  readonly name: string;
  readonly socket: string;
  /** Ends the answering at once, then what is under way; networks stay on disk. */
  close(): Promise<void>;
}

/** @throws ControlError for a name no driver can have, a socket somebody answers on */
export async function startDockerPlugin(
  options: DockerPluginOptions,
  { binding, control, state, log }: { binding: Binding; control: Control; state: string; log: Log },
): Promise<DockerPlugin> {
  const name = options.name ?? DEFAULT_DRIVER;
  const problem = driverNameProblem(name);
  if (problem !== undefined) throw new ControlError('invalid', `${JSON.stringify(name)} cannot name a driver: ${problem}`);
  checkDefaultPools(options.pools ?? []);
  const socket = pluginSocket(name);
  const made = await claimSocket(socket).catch((error) => {
    if (!(error instanceof ControlError)) throw error;
    throw new ControlError(error.code, error.message, 'stop the other one, or choose another name with --docker NAME', error);
  });
  const names = new Names(control, new EngineApi(apiSocket(options.api, log)), log);
  const docker = await Docker.start({ binding, control, record: recordIn(state), log, followers: names, pools: options.pools });
  await listen(docker.server, socket, null);
  docker.server.on('error', (error) => log.error({ reason: reasonOf(error) }, 'cannot take a connection of Docker'));
  names.learnAll();
  log.info({ driver: name, socket }, `Docker's driver ${name} answers at ${socket}`);
  return {
    name,
    socket,
    lookUp: () => names.lookUp(),
    isGone: (network) => names.isGone(network),
    removeNetwork: (network) => docker.removeNetwork(network),
    look: () => health(socket),
    close: async () => {
      docker.server.close();
      docker.server.closeIdleConnections();
      rmSync(socket, { force: true });
      removeDirectories(made);
      names.close();
      await Promise.race([docker.close(), sleep(FINISH_MILLIS, undefined, { ref: false })]);
      docker.server.closeAllConnections();
    },
  };
}

/** Without its socket dockerd does not find the driver. */
function health(socket: string): HealthCheck {
  const name = 'docker';
  const there = lstatSync(socket, { throwIfNoEntry: false })?.isSocket() === true;
  if (there) return { name, status: 'ok', message: `Docker's driver answers at ${socket}` };
  return { name, status: 'fail', message: `the socket ${socket} of Docker's driver is gone: restart the daemon` };
}

/** Names are for people: an engine that cannot be asked is no reason not to start. */
function apiSocket(given: string | undefined, log: Log): string {
  const address = process.env['DOCKER_HOST'];
  if (given !== undefined || !address) return given ?? DOCKER_SOCKET;
  try {
    return engineSocket('DOCKER_HOST', address);
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, `names are asked of ${DOCKER_SOCKET}: ${reasonOf(error)}`);
    return DOCKER_SOCKET;
  }
}
