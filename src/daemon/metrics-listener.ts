/**
 * /metrics and /healthz over TCP, for Prometheus servers that read no unix sockets. Nothing else is served, and nothing can be changed there; who may
 * connect may read, so an address of the loopback or of a network for administration is the right one.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Control } from '../control/control.js';
import { ControlError } from '../control/control-error.js';
import type { HealthSource } from '../control/health.js';
import { type Log, reasonOf } from '../control/log.js';
import { metricsText } from './metrics.js';
import { CONTENT_TYPE } from './prometheus.js';
import { healthOf } from './routes-daemon.js';
import type { TcpAddress } from './tcp-address.js';

const MAX_CONNECTIONS = 32;
const SLOW_MILLIS = 5000;

/** Serves until it is closed. @throws ControlError when the address cannot be listened at */
export async function serveMetrics(
  address: TcpAddress,
  control: Control,
  sources: readonly HealthSource[],
  log: Log,
): Promise<Server> {
  const server = createServer(
    { requestTimeout: SLOW_MILLIS, headersTimeout: SLOW_MILLIS, keepAliveTimeout: SLOW_MILLIS },
    (request, response) => {
      const path = request.url?.split('?')[0];
      const answers = path === '/metrics' ? metrics : path === '/healthz' ? health : null;
      if (answers === null) return send(response, 404, 'text/plain', 'only /metrics and /healthz are here\n');
      if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', 'only GET\n');
      answers(control, sources).then(
        ([status, type, text]) => send(response, status, type, text),
        (error) => {
          log.error({ reason: reasonOf(error) }, `cannot answer ${path}`);
          send(response, 500, 'text/plain', `${reasonOf(error)}\n`);
        },
      );
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const what = `cannot serve metrics at ${address.host} port ${address.port}: ${reasonOf(error)}`;
      reject(new ControlError('failed', what, 'choose another address with --metrics'));
    });
    server.listen(address.port, address.host, resolve);
  });
  server.on('error', (error) => log.error({ reason: reasonOf(error) }, 'cannot take a connection for metrics'));
  return server;
}

type Answer = readonly [status: number, type: string, text: string];

async function metrics(control: Control): Promise<Answer> {
  return [200, CONTENT_TYPE, metricsText(await control.telemetry())];
}

async function health(control: Control, sources: readonly HealthSource[]): Promise<Answer> {
  const found = await healthOf(control, sources);
  return [found.status === 'fail' ? 503 : 200, 'application/json', `${JSON.stringify(found)}\n`];
}

/** Node sends no body for HEAD. */
function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type }).end(text);
}
