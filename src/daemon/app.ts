/**
 * The API: HTTP and JSON over the model of control/. Each route is described once, for validation, for the handler's types and for the OpenAPI
 * document. Bodies have at most 64 KiB; keys nobody knows are refused, so that a misspelled setting is no silent default.
 */
import { OpenAPIHono } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';
import { HTTPException } from 'hono/http-exception';
import type { Control } from '../control/control.js';
import { ControlError } from '../control/control-error.js';
import type { HealthSource } from '../control/health.js';
import { type Log, reasonOf } from '../control/log.js';
import { errorAnswer } from './answers.js';
import type { DockerNetworks } from './docker-networks.js';
import { problemOf } from './problem.js';
import { addBridgeRoutes, bridgeRoutes } from './routes-bridges.js';
import { addCaptureRoutes, captureRoutes } from './routes-capture.js';
import { addDaemonRoutes, daemonRoutes } from './routes-daemon.js';
import { addGatewayRoutes, gatewayRoutes } from './routes-gateway.js';
import { addPortRoutes, portRoutes } from './routes-ports.js';
import { addTableRoutes, tableRoutes } from './routes-tables.js';
import { askForUnknownNames, NAMING_PATHS } from './unknown-names.js';
import { packageVersion } from './version.js';

const MAX_BODY_BYTES = 64 << 10;

/** All routes, for tests that compare them with the document. */
export const ROUTES = {
  ...daemonRoutes,
  ...bridgeRoutes,
  ...prefixed('port', portRoutes),
  ...tableRoutes,
  ...gatewayRoutes,
  ...captureRoutes,
};

/**
 * @param docker while its drivers run
 * @param sources further parts whose health counts
 */
export function createApp(
  control: Control,
  log: Log,
  docker?: DockerNetworks,
  sources: readonly HealthSource[] = [],
): OpenAPIHono {
  const app = new OpenAPIHono({
    defaultHook: (result, c) => {
      if (result.success) return;
      return c.json({ error: { code: 'invalid' as const, message: problemOf(result.error) } }, 400);
    },
  });
  const limit = bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: () => {
      throw new ControlError('invalid', `a request may have ${MAX_BODY_BYTES} bytes`);
    },
  });
  // Looking for a body makes a whole Request with its abort signals, which only a late garbage collection frees: not for those without one.
  app.use((c, next) => (c.req.method === 'POST' || c.req.method === 'PATCH' ? limit(c, next) : next()));
  if (docker !== undefined) app.use(NAMING_PATHS, askForUnknownNames(control, docker));
  addDaemonRoutes(app, control, sources);
  addBridgeRoutes(app, control, docker);
  addPortRoutes(app, control);
  addTableRoutes(app, control);
  addGatewayRoutes(app, control);
  addCaptureRoutes(app, control);
  app.get('/openapi.json', (c) => c.json(documentOf(app)));
  app.notFound((c) => {
    const message = `there is no ${c.req.method} ${c.req.path}`;
    return c.json({ error: { code: 'not-found', message, hint: 'see /openapi.json' } }, 404);
  });
  app.onError((error, c) => {
    if (error instanceof HTTPException) {
      return c.json({ error: { code: 'invalid', message: error.message } }, 400);
    }
    const { status, body } = errorAnswer(error);
    const fields = { method: c.req.method, path: c.req.path, status, reason: reasonOf(error) };
    if (status === 500) log.error({ ...fields, stack: error.stack }, `${c.req.method} ${c.req.path} failed`);
    else log.debug(fields, `${c.req.method} ${c.req.path} refused`);
    return c.json(body, status);
  });
  return app;
}

/** The OpenAPI document of the routes; docs/openapi.json is this. */
export function documentOf(app: OpenAPIHono): object {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'tapbridge',
      version: packageVersion(),
      description: 'The API of `tapbridge daemon`, on a unix socket. Errors have the form of `Error`, whatever the route.',
    },
    servers: [{ url: 'http://localhost', description: 'over the unix socket, by default /run/tapbridge/tapbridge.sock' }],
  });
}

/** { list } -> { portList }: the groups share some names. */
function prefixed<Group extends object>(prefix: string, group: Group): Record<string, Group[keyof Group]> {
  return Object.fromEntries(
    Object.entries(group).map(([name, route]) => [`${prefix}${name[0].toUpperCase()}${name.slice(1)}`, route]),
  );
}
