// A daemon whose last engine thread is ended when it gets SIGUSR2: node dying-engine.mjs DIST SOCKET STATE THREADS
import { pathToFileURL } from 'node:url';

const [dist, socket, state, threads] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${dist}/${path}`).href);
const { EngineThread } = await load('engine/engine-thread.js');
const { createLog } = await load('daemon/log.js');
const { runDaemon } = await load('daemon/daemon.js');

const start = EngineThread.start;
EngineThread.start = async (...args) => {
  const engine = await start.apply(EngineThread, args);
  const { index, count } = args[1].place;
  if (index === count - 1) process.once('SIGUSR2', () => engine.worker.terminate());
  return engine;
};
process.exit(await runDaemon({ socket, state, threads: Number(threads), log: createLog('info', false, false) }));
