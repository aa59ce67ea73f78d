// A daemon whose engine thread is ended a moment after it listens: node dying-engine.mjs DIST SOCKET STATE
import { pathToFileURL } from 'node:url';

const [dist, socket, state] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${dist}/${path}`).href);
const { EngineThread } = await load('engine/engine-thread.js');
const { createLog } = await load('daemon/log.js');
const { runDaemon } = await load('daemon/daemon.js');

const start = EngineThread.start;
EngineThread.start = async (...args) => {
  const engine = await start.apply(EngineThread, args);
  process.once('SIGUSR2', () => engine.worker.terminate());
  return engine;
};
process.exit(await runDaemon({ socket, state, log: createLog('info', false, false) }));
