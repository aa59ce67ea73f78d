/**
 * Who a container named on the command line is: asked of Docker and of podman, in the user's own environment, as their own programs would. The
 * daemon is told a process and whose it is.
 *
 *     docker   DOCKER_HOST, else /var/run/docker.sock
 *     podman   CONTAINER_HOST, else /run/podman/podman.sock, else the program `podman`
 *
 * An engine that is not there has no containers; one that does not answer is an error only when the other one does not know the container either.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { ControlError } from '../control/control-error.js';
import { reasonOf } from '../control/log.js';
import type { ContainerInfo } from '../control/model.js';
import {
  containerOf,
  DOCKER_SOCKET,
  EngineApi,
  type EngineContainer,
  engineSocket,
  InspectedContainer,
  PODMAN_SOCKET,
} from '../docker/engine-api.js';
import { UsageError } from './failure.js';

const ENGINES = ['docker', 'podman'] as const;
type Engine = (typeof ENGINES)[number];
/** What both engines allow, ids included; nothing that could be an option or a path. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;
const PROGRAM = { timeout: 10_000, maxBuffer: 4 << 20, encoding: 'utf8' } as const;

export interface NamedContainer {
  pid: number;
  container: ContainerInfo;
}

/** null: the engine is here and has no such container. 'absent': there is no such engine. */
type Answer = { engine: Engine; found: EngineContainer } | null | 'absent';

/**
 * @param text 'web', an id or a beginning of it, 'docker:web', 'podman:web'
 * @throws UsageError, ControlError
 */
export async function findContainer(text: string, environment: NodeJS.ProcessEnv = process.env): Promise<NamedContainer> {
  const chosen = ENGINES.find((engine) => text.startsWith(`${engine}:`));
  const name = chosen === undefined ? text : text.slice(chosen.length + 1);
  if (!NAME.test(name)) throw new UsageError(`${JSON.stringify(text)} cannot name a container`, 'see docker ps, podman ps');
  const asked = chosen === undefined ? ENGINES : [chosen];
  const answers = await Promise.allSettled(asked.map((engine) => ASK[engine](name, environment)));
  const found = answers.flatMap((answer) =>
    answer.status === 'fulfilled' && answer.value !== null && answer.value !== 'absent' ? [answer.value] : [],
  );
  // Docker's socket may be podman's: one container, found twice.
  const ids = new Set(found.map(({ found: { id } }) => id));
  if (ids.size > 1) {
    const ways = found.map(({ engine }) => `${engine}:${name}`).join(' or ');
    throw new ControlError('conflict', `both docker and podman have a container ${name}`, `write ${ways}`);
  }
  if (found.length > 0) return usable(found[0].engine, found[0].found);
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  const here = asked.filter((_, at) => (answers[at] as PromiseFulfilledResult<Answer>).value !== 'absent');
  if (here.length > 0) {
    const hint = here.map((engine) => `${engine} ps -a`).join(' and ');
    throw new ControlError('not-found', `there is no container ${name} in ${here.join(' or ')}`, `see ${hint}`);
  }
  const what = chosen === undefined ? 'neither docker nor podman is here' : `${chosen} is not here`;
  throw new ControlError('not-found', `${what} to ask for ${name}`, 'start it, or name a process with --pid');
}

function usable(engine: Engine, { id, name, running, pid, networkMode }: EngineContainer): NamedContainer {
  if (!running) {
    throw new ControlError('conflict', `container ${name} of ${engine} is not running`, `start it: ${engine} start ${name}`);
  }
  if (networkMode === 'host') {
    const what = `container ${name} of ${engine} uses the host's own network`;
    throw new ControlError('conflict', what, `start it with a network of its own: ${engine} run --network none`);
  }
  return { pid, container: { engine, id, name } };
}

const ASK: Record<Engine, (name: string, environment: NodeJS.ProcessEnv) => Promise<Answer>> = {
  docker: async (name, environment) => {
    const host = environment['DOCKER_HOST'];
    if (!host && !existsSync(DOCKER_SOCKET)) return 'absent';
    return askApi(host ? engineSocket('DOCKER_HOST', host) : DOCKER_SOCKET, name);
  },
  podman: async (name, environment) => {
    const host = environment['CONTAINER_HOST'];
    if (host) return askApi(engineSocket('CONTAINER_HOST', host), name);
    // A socket that is left over and answers nobody: the program knows as well.
    const answer = existsSync(PODMAN_SOCKET) ? await askApi(PODMAN_SOCKET, name).catch(() => null) : null;
    return answer ?? askProgram(name, environment);
  },
};

async function askApi(socketPath: string, name: string): Promise<Answer> {
  const api = new EngineApi(socketPath);
  const found = await api.container(name);
  return found === null ? null : { engine: await api.engine(), found };
}

function askProgram(name: string, env: NodeJS.ProcessEnv): Promise<Answer> {
  return new Promise((resolve, reject) => {
    execFile('podman', ['container', 'inspect', name], { ...PROGRAM, env }, (error, stdout, stderr) => {
      if ((error as NodeJS.ErrnoException | null)?.code === 'ENOENT') return resolve('absent');
      if (error !== null) {
        if (/no such (container|object)/i.test(stderr)) return resolve(null);
        const why = stderr.trim().split('\n').at(-1) || reasonOf(error);
        return reject(new ControlError('failed', `podman container inspect ${name}: ${why}`));
      }
      try {
        const [found] = z.array(InspectedContainer).min(1).parse(JSON.parse(stdout));
        resolve({ engine: 'podman', found: containerOf(found) });
      } catch (cause) {
        const what = 'podman container inspect printed what is not understood';
        reject(new ControlError('failed', what, 'name the container with --pid', cause));
      }
    });
  });
}
