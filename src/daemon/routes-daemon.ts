/** /healthz, /metrics and /version: about the daemon itself. */
import { release } from 'node:os';
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import type { Control } from '../control/control.js';
import { type HealthSource, worstOf } from '../control/health.js';
import type { HealthInfo } from '../control/model.js';
import { json, stream } from './answers.js';
import { metricsText } from './metrics.js';
import { CONTENT_TYPE } from './prometheus.js';
import { Health, NoQuery, Version } from './schemas.js';
import { packageVersion } from './version.js';

const tags = ['daemon'];

export const daemonRoutes = {
  health: createRoute({
    method: 'get',
    path: '/healthz',
    operationId: 'health',
    summary: 'Whether the daemon does its work',
    tags,
    request: { query: NoQuery },
    responses: {
      ...json(Health, 'It does; `warn`: not all that was asked of it is there.'),
      503: { description: 'It does not.', content: { 'application/json': { schema: Health } } },
    },
  }),
  metrics: createRoute({
    method: 'get',
    path: '/metrics',
    operationId: 'metrics',
    summary: 'Counters and gauges in the Prometheus text format',
    tags,
    request: { query: NoQuery },
    responses: stream('Families and samples; docs/daemon.md explains them.', 'text/plain'),
  }),
  version: createRoute({
    method: 'get',
    path: '/version',
    operationId: 'version',
    summary: 'Which daemon this is',
    tags,
    request: { query: NoQuery },
    responses: json(Version, 'Versions and process id.'),
  }),
};

/** @param sources further parts with a health of their own */
export function addDaemonRoutes(app: OpenAPIHono, control: Control, sources: readonly HealthSource[]): void {
  app.openapi(daemonRoutes.health, async (c) => {
    const health = await healthOf(control, sources);
    return health.status === 'fail' ? c.json(health, 503) : c.json(health, 200);
  });
  app.openapi(daemonRoutes.metrics, async (c) =>
    c.body(metricsText(await control.telemetry()), 200, { 'content-type': CONTENT_TYPE }),
  );
  app.openapi(daemonRoutes.version, (c) =>
    c.json({ version: packageVersion(), node: process.version, kernel: release(), pid: process.pid }, 200),
  );
}

export async function healthOf(control: Control, sources: readonly HealthSource[]): Promise<HealthInfo> {
  const checks = [...(await control.health()), ...(await Promise.all(sources.map((source) => source.look())))];
  return { status: worstOf(checks), checks };
}
