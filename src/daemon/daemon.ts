/**
 * The daemon: engine, model and API in one process.
 *
 *     check host ─▶ claim socket ─▶ start engine, load the model ─▶ lock state ─▶ restore ─▶ configured bridges ─▶ load the API ─▶ listen
 *     SIGTERM, SIGINT ─▶ stop listening ─▶ remove what was made, put back what was changed ─▶ clear the record, remove directories ─▶ 0
 *                         on-stop keep: ─▶ leave it, and the record, to the next daemon ─▶ 0
 *     engine died ─▶ the same, without the engine ─▶ 1
 *
 * What can be refused is refused before anything is made. The socket listens last, so whoever can connect finds everything restored.
 */
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { Control } from '../control/control.js';
import { ControlError } from '../control/control-error.js';
import { defined } from '../control/defined.js';
import type { HealthSource } from '../control/health.js';
import { type Log, reasonOf } from '../control/log.js';
import { removeDirectories } from '../control/made-directories.js';
import type { OnStop } from '../control/on-stop.js';
import type { StateStore } from '../control/state-store.js';
import { EngineGroup } from '../engine/engine-group.js';
import { loadBinding } from '../native/binding.js';
import type { Config } from './config.js';
import type { DockerPlugin, DockerPluginOptions } from './docker-plugin.js';
import { checkHost } from './host-check.js';
import { type KeepAwake, resolveKeepAwake } from './keep-awake.js';
import { claimSocket, groupId, listen } from './socket.js';
import { parseTcpAddress } from './tcp-address.js';

/** An orderly stop takes well under a second; what hangs must not keep the caller waiting beyond the 5 s that are promised. */
const STOP_MILLIS = 4800;

export interface DaemonOptions {
  socket: string;
  state: string;
  group?: string | undefined;
  /** Engine threads; default 1. */
  threads?: number | undefined;
  /** Whether idle cores are kept awake while there is traffic; default: auto. */
  keepAwake?: KeepAwake | undefined;
  /** Where /metrics and /healthz are served over TCP, too. */
  metrics?: string | undefined;
  /** Serve Docker's drivers. */
  docker?: DockerPluginOptions | undefined;
  /** What an orderly end leaves: nothing of ours, or all of it for the next daemon. Default: nothing; with `docker` all. */
  onStop?: OnStop | undefined;
  nat?: Config['nat'];
  bridges?: Config['bridges'];
  log: Log;
}

/** Runs until a signal or the engine's death; resolves with the exit status. @throws ControlError when it cannot start */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const { log } = options;
  checkHost();
  const gid = options.group === undefined ? null : groupId(options.group);
  const keepAwake = resolveKeepAwake(options.keepAwake ?? 'auto', log);
  const metricsAt = options.metrics === undefined ? null : parseTcpAddress(options.metrics);
  const made = await claimSocket(options.socket);
  const binding = loadBinding();
  let store: StateStore | undefined;
  let engine: EngineGroup | undefined;
  let control: Control | undefined;
  let docker: DockerPlugin | undefined;
  let server: Server | undefined;
  let metrics: Server | undefined;
  /** Parts beside control whose health counts. */
  const sources: HealthSource[] = [];
  const onStop = options.onStop ?? (options.docker === undefined ? 'remove' : 'keep');
  let started = false;
  let status = 0;
  // From here on signals must find their way to the cleaning up below, also while starting.
  const ending = whatEnds();
  try {
    // After a crash containers wait for this. So the model is loaded while the engine's thread starts, and the API when they are connected again.
    const starting = EngineGroup.start(binding, { threads: options.threads ?? 1, keepAwake });
    const loading = Promise.all([
      import('../control/control.js'),
      import('../control/state-store.js'),
      import('../control/flow-file.js'),
      import('./detach-notes.js'),
    ]);
    // Whichever fails first: an engine that runs is known below, and stopped.
    loading.catch(() => {});
    engine = await starting;
    const [{ Control }, { StateStore }, { flowFilePath }, { carryOutNotes }] = await loading;
    store = StateStore.open(options.state);
    const flowFile = flowFilePath(options.socket);
    control = await Control.start({ binding, engine, log, store, flowFile, nat: defined(options.nat ?? {}) });
    await carryOutNotes(control, options.state, log);
    await makeConfigured(control, options.bridges ?? [], log);
    if (options.docker !== undefined) {
      const { startDockerPlugin } = await import('./docker-plugin.js');
      docker = await startDockerPlugin(options.docker, { binding, control, state: options.state, log });
      sources.push(docker);
    }
    const [{ createApp }, { getRequestListener }] = await Promise.all([import('./app.js'), import('@hono/node-server')]);
    server = createServer(getRequestListener(createApp(control, log, docker, sources).fetch));
    if (metricsAt !== null) {
      const { serveMetrics } = await import('./metrics-listener.js');
      metrics = await serveMetrics(metricsAt, control, sources, log);
    }
    await listen(server, options.socket, gid);
    started = true;
    await carryOutNotes(control, options.state, log);
    // A connection that cannot be taken (no descriptors left) costs that connection, not the daemon.
    server.on('error', (error) => log.error({ reason: reasonOf(error) }, 'cannot take a connection'));
    const { threads } = engine;
    log.info(
      { socket: options.socket, state: options.state, pid: process.pid, threads, keepAwake },
      `listening at ${options.socket}`,
    );
    const end = await Promise.race([ending.promise, engine.failed]);
    if (typeof end === 'string') {
      const what = onStop === 'keep' ? 'interfaces stay for the next daemon' : 'interfaces are removed';
      log.info({ signal: end, onStop }, `${end}: stopping, ${what}`);
    } else {
      log.error({ reason: reasonOf(end) }, 'the engine died: cleaning up');
      status = 1;
    }
  } finally {
    const guard = setTimeout(() => process.exit(1), STOP_MILLIS).unref();
    stopListening(server, options.socket);
    await docker?.close().catch((error) => log.error({ reason: reasonOf(error) }, "cannot end Docker's driver"));
    // A start that fails, by a mistake in the configuration, must not take from containers what a crash had left them.
    const keep = onStop === 'keep' || (!started && store?.inherited === true);
    await control?.close({ keep }).catch((error) => {
      log.error({ reason: reasonOf(error) }, 'cannot clean up');
      status = 1;
    });
    if (status === 0) {
      await engine?.stop().catch((error) => {
        log.error({ reason: reasonOf(error) }, 'cannot stop the engine');
        status = 1;
      });
    }
    store?.close();
    server?.closeAllConnections();
    metrics?.close();
    metrics?.closeAllConnections();
    removeDirectories(made);
    ending.forget();
    clearTimeout(guard);
  }
  log.info({ status }, 'stopped');
  return status;
}

/** Bridges of the configuration that were not restored. A port whose namespace is not there yet is no reason to have no bridge. */
async function makeConfigured(control: Control, bridges: NonNullable<Config['bridges']>, log: Log): Promise<void> {
  for (const { ports = [], publishes = [], ...bridge } of bridges) {
    const there = new Set(control.listBridges().map(({ name }) => name));
    try {
      if (!there.has(bridge.name)) await control.createBridge(bridge);
    } catch (error) {
      const what = `bridge ${bridge.name} of the configuration: ${reasonOf(error)}`;
      throw new ControlError('invalid', what, error instanceof ControlError ? error.hint : undefined, error);
    }
    const attached = new Set(control.listPorts(bridge.name).map(({ name }) => name));
    for (const port of ports.filter(({ port: name }) => !attached.has(name))) {
      await control.attach(bridge.name, port).catch((error) => {
        log.warn(
          { bridge: bridge.name, port: port.port, reason: reasonOf(error) },
          `cannot attach port ${port.port} of the configuration`,
        );
      });
    }
    const published = control.listPublishes(bridge.name);
    for (const { protocol = 'tcp', ...rest } of publishes) {
      if (published.some((each) => each.protocol === protocol && each.hostPort === rest.hostPort)) continue;
      await control.publish(bridge.name, { protocol, ...rest }).catch((error) => {
        const fields = { bridge: bridge.name, port: rest.portName, reason: reasonOf(error) };
        log.warn(fields, `cannot publish ${rest.hostPort}/${protocol} of the configuration`);
      });
    }
  }
}

function stopListening(server: Server | undefined, path: string): void {
  if (server?.listening !== true) return;
  server.close();
  server.closeIdleConnections();
  rmSync(path, { force: true });
}

/** The first signal that asks the daemon to end. A second one does not interrupt the cleaning up. */
function whatEnds(): { promise: Promise<NodeJS.Signals>; forget(): void } {
  let told = (_signal: NodeJS.Signals): void => {};
  const promise = new Promise<NodeJS.Signals>((resolve) => {
    told = resolve;
  });
  const onSignal = (signal: NodeJS.Signals) => told(signal);
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  return {
    promise,
    forget: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
