/** Publishes and flows of a bridge, and what all bridges share: uplinks and the gateway's tables. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Control } from '../control/control.js';
import { body, created, json, lineStream, nothing } from './answers.js';
import { EventLines, pagesAsLines } from './line-stream.js';
import { BridgePath, NoQuery } from './schemas.js';
import {
  AddPublish,
  ANY_ADDRESS,
  Ended,
  FlowEvent,
  FlowInfo,
  FlowQuery,
  GatewayInfo,
  PublishInfo,
  RemovePublishQuery,
  UplinkInfo,
} from './schemas-gateway.js';

const NDJSON = 'application/x-ndjson';
const publishes = '/v1/bridges/{bridge}/publishes';
const flows = '/v1/bridges/{bridge}/flows';
const tags = ['gateway'];

export const gatewayRoutes = {
  listPublishes: createRoute({
    method: 'get',
    path: publishes,
    operationId: 'listPublishes',
    summary: 'Which ports of the host lead to which container',
    tags,
    request: { params: BridgePath, query: NoQuery },
    responses: json(z.array(PublishInfo), 'The publishes of the bridge.'),
  }),
  publish: createRoute({
    method: 'post',
    path: publishes,
    operationId: 'publish',
    summary: 'Lead ports of the host to a container',
    description: 'A port that something on the host listens on is a conflict.',
    tags,
    request: { params: BridgePath, query: NoQuery, body: body(AddPublish) },
    responses: created(PublishInfo, 'The publish.'),
  }),
  unpublish: createRoute({
    method: 'delete',
    path: publishes,
    operationId: 'unpublish',
    summary: 'End a publish and its flows',
    tags,
    request: { params: BridgePath, query: RemovePublishQuery },
    responses: nothing('It is ended.'),
  }),
  listFlows: createRoute({
    method: 'get',
    path: flows,
    operationId: 'listFlows',
    summary: 'Flows through the gateway',
    description:
      'One flow a line. It comes in pages: flows that begin or end meanwhile may be missing. A connection cut off is no whole list.',
    tags,
    request: { params: BridgePath, query: FlowQuery },
    responses: lineStream(FlowInfo, 'The flows that match all of the query, one JSON object a line.', NDJSON),
  }),
  flushFlows: createRoute({
    method: 'delete',
    path: flows,
    operationId: 'flushFlows',
    summary: 'End flows',
    tags,
    request: { params: BridgePath, query: FlowQuery },
    responses: json(Ended, 'How many matched all of the query and ended.'),
  }),
  watchFlows: createRoute({
    method: 'get',
    path: `${flows}/watch`,
    operationId: 'watchFlows',
    summary: 'Watch flows begin, change and end',
    description:
      'It goes on until the reader leaves. A reader that is too slow loses events: an event of kind lost says how many.',
    tags,
    request: { params: BridgePath, query: FlowQuery },
    responses: lineStream(FlowEvent, 'Events as they come, one JSON object a line.', NDJSON),
  }),
  listUplinks: createRoute({
    method: 'get',
    path: '/v1/uplinks',
    operationId: 'listUplinks',
    summary: 'Interfaces of the host that bridges reach the outside through',
    tags,
    request: { query: NoQuery },
    responses: json(z.array(UplinkInfo), 'The uplinks in use.'),
  }),
  gateway: createRoute({
    method: 'get',
    path: '/v1/gateway',
    operationId: 'gateway',
    summary: "Use of the gateway's tables, and what is set for all bridges",
    tags,
    request: { query: NoQuery },
    responses: json(GatewayInfo, 'Flow table, mappings and pools of ports.'),
  }),
};

export function addGatewayRoutes(app: OpenAPIHono, control: Control): void {
  app.openapi(gatewayRoutes.listPublishes, (c) => c.json(control.listPublishes(c.req.valid('param').bridge), 200));
  app.openapi(gatewayRoutes.publish, async (c) =>
    c.json(await control.publish(c.req.valid('param').bridge, c.req.valid('json')), 201),
  );
  app.openapi(gatewayRoutes.unpublish, async (c) => {
    const query = c.req.valid('query');
    const request = query.hostAddress === ANY_ADDRESS ? { ...query, hostAddress: null } : query;
    await control.unpublish(c.req.valid('param').bridge, request);
    return c.body(null, 204);
  });
  app.openapi(gatewayRoutes.listFlows, async (c) => {
    const pages = control.listFlows(c.req.valid('param').bridge, c.req.valid('query'));
    const first = await pages.next();
    return streamed(pagesAsLines(first, pages));
  });
  app.openapi(gatewayRoutes.flushFlows, async (c) =>
    c.json({ ended: await control.flushFlows(c.req.valid('param').bridge, c.req.valid('query')) }, 200),
  );
  app.openapi(gatewayRoutes.watchFlows, async (c) => {
    const lines = new EventLines();
    lines.endWith(await control.watchFlows(c.req.valid('param').bridge, c.req.valid('query'), lines.take));
    return streamed(lines.stream);
  });
  app.openapi(gatewayRoutes.listUplinks, (c) => c.json(control.listUplinks(), 200));
  app.openapi(gatewayRoutes.gateway, async (c) => c.json(await control.gatewayInfo(), 200));
}

function streamed(stream: ReadableStream<Uint8Array>): never {
  return new Response(stream, { status: 200, headers: { 'content-type': NDJSON } }) as never;
}
