/** Whether Docker finds the driver, and what of Docker's own network is in the way. */
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { BridgeInfo } from '../../control/model.js';
import { EngineApi } from '../../docker/engine-api.js';
import { type Finding, fail, ok, warn } from './finding.js';

const AREA = 'docker';
const ANSWER_MILLIS = 3000;
const MAX_ANSWER_BYTES = 64 << 10;
const INSTALL = 'tapbridge docker install';

export interface DockerPlaces {
  /** Of Docker's API. */
  api: string;
  /** Where drivers have their sockets, their spec files, and Docker its settings. */
  sockets: string;
  specs: string;
  settings: string;
}

export const DOCKER_PLACES: Omit<DockerPlaces, 'api'> = {
  sockets: '/run/docker/plugins',
  specs: '/etc/docker/plugins',
  settings: '/etc/docker/daemon.json',
};

/** What there is on the host. */
export interface DockerHost {
  /** Names of its interfaces. */
  links: readonly string[];
  /** Those of the daemon; none without it. */
  bridges: readonly Pick<BridgeInfo, 'name' | 'network'>[];
}

export async function checkDocker(places: DockerPlaces, driver: string, { links, bridges }: DockerHost): Promise<Finding[]> {
  const installed = existsSync(places.api) || existsSync(places.settings);
  const dockerd = installed ? await checkDockerd(places) : ok(AREA, 'no Docker here');
  return [
    dockerd,
    ...(await checkPlugin(places, driver, installed)),
    ...checkBridges(places, links),
    ...(await checkNetworks(places, bridges)),
  ];
}

async function checkDockerd({ api }: DockerPlaces): Promise<Finding> {
  if (!existsSync(api)) {
    const meaning = 'containers of Docker cannot be looked at';
    return warn(AREA, `dockerd does not listen at ${api}`, meaning, 'systemctl start docker; or name its socket in DOCKER_HOST');
  }
  try {
    return ok(AREA, `${await new EngineApi(api, ANSWER_MILLIS).engine()} answers at ${api}`);
  } catch (error) {
    return warn(AREA, (error as Error).message, 'containers of Docker cannot be looked at', 'systemctl status docker');
  }
}

/** Networks Docker removed while the driver was away. None when Docker does not answer, which is a finding of its own. */
async function checkNetworks({ api }: DockerPlaces, bridges: DockerHost['bridges']): Promise<Finding[]> {
  const dockers = bridges.flatMap(({ name, network }) => (network?.engine === 'docker' ? [{ name, network }] : []));
  if (dockers.length === 0 || !existsSync(api)) return [];
  try {
    const engine = new EngineApi(api, ANSWER_MILLIS);
    // podman speaks the same language, and has none of Docker's networks.
    if ((await engine.engine()) !== 'docker') return [];
    const known = new Set((await engine.networks()).map(({ id }) => id));
    return dockers
      .filter(({ network }) => !known.has(network.id))
      .map(({ name, network }) =>
        warn(
          AREA,
          `Docker has no network ${network.name ?? network.id} any more; its bridge ${name} stays`,
          'it was removed while the driver was away: nobody can use its subnet',
          `tapbridge rm ${name}`,
        ),
      );
  } catch {
    return [];
  }
}

async function checkPlugin({ sockets, specs }: DockerPlaces, driver: string, installed: boolean): Promise<Finding[]> {
  const socket = join(sockets, `${driver}.sock`);
  const spec = join(specs, `${driver}.spec`);
  const address = existsSync(spec) ? readFileSync(spec, 'utf8').trim() : null;
  if (!existsSync(socket)) {
    if (address === null) {
      return installed
        ? [warn(AREA, `Docker has no driver ${driver}`, 'only networks made by hand or by CNI exist', INSTALL)]
        : [];
    }
    const meaning = 'networks of the driver work no more, and Docker waits 15 s for each at its start';
    return [
      fail(AREA, `${spec} names a driver that does not run`, meaning, 'systemctl start tapbridge; or tapbridge docker uninstall'),
    ];
  }
  const problem = await ask(socket);
  if (problem !== null) {
    const meaning = 'each command of Docker that needs the driver waits 15 s and fails';
    return [
      fail(
        AREA,
        `the driver does not answer at ${socket}: ${problem}`,
        meaning,
        `systemctl restart tapbridge; without a daemon: rm ${socket}`,
      ),
    ];
  }
  const findings = [ok(AREA, `the driver ${driver} answers at ${socket}`)];
  if (address !== null && address !== `unix://${socket}`) {
    findings.push(
      warn(
        AREA,
        `${spec} says ${address}`,
        `Docker takes ${socket} first, and that one when the daemon is down`,
        `${INSTALL} --replace`,
      ),
    );
  }
  return findings;
}

function checkBridges({ settings }: DockerPlaces, links: readonly string[]): Finding[] {
  const findings: Finding[] = [];
  if (links.includes('docker_gwbridge')) {
    findings.push(
      warn(
        AREA,
        'there is a docker_gwbridge',
        'Docker made it for a network without a gateway: its containers go out, and are published, past tapbridge',
        'make such networks with --internal; then: docker network rm docker_gwbridge',
      ),
    );
  }
  const setting = bridgeSetting(settings);
  if (setting instanceof Error) {
    findings.push(
      fail(AREA, `${settings} is not understood: ${setting.message}`, 'dockerd refuses to start', `correct ${settings}`),
    );
  } else if (setting === 'none') {
    findings.push(ok(AREA, `"bridge": "none" in ${settings}: no docker0`));
  } else if (links.includes('docker0')) {
    findings.push(ok(AREA, `docker0 is there as well; "bridge": "none" in ${settings} does without`));
  }
  return findings;
}

function bridgeSetting(path: string): string | undefined | Error {
  if (!existsSync(path)) return undefined;
  try {
    const value = (JSON.parse(readFileSync(path, 'utf8')) as { bridge?: unknown } | null)?.bridge;
    return typeof value === 'string' ? value : undefined;
  } catch (error) {
    return error as Error;
  }
}

/**
 * Asks a driver for its capabilities, as Docker does, which changes nothing (Plugin.Activate begins a replay).
 * @returns why it does not answer as a driver of networks does, or null
 */
function ask(socketPath: string): Promise<string | null> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(ANSWER_MILLIS);
    const path = '/NetworkDriver.GetCapabilities';
    const sent = request({ socketPath, path, method: 'POST', agent: false, signal, headers: { host: 'localhost' } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_BYTES) answer.destroy();
      });
      answer.on('close', () => resolve(answer.statusCode === 200 && /"Scope"/.test(text) ? null : `status ${answer.statusCode}`));
    });
    sent.on('error', (error: NodeJS.ErrnoException) =>
      resolve(signal.aborted ? 'nothing within 3 s' : (error.code ?? error.message)),
    );
    sent.end();
  });
}
