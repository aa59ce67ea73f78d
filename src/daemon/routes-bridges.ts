/** /v1/bridges and /v1/bridges/{bridge} */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Control } from '../control/control.js';
import { body, created, json, nothing } from './answers.js';
import { type DockerNetworks, removedFor } from './docker-networks.js';
import { BridgeInfo, BridgePath, ChangeBridge, CreateBridge, NoQuery } from './schemas.js';

const path = '/v1/bridges/{bridge}';
const tags = ['bridges'];

export const bridgeRoutes = {
  list: createRoute({
    method: 'get',
    path: '/v1/bridges',
    operationId: 'listBridges',
    summary: 'All bridges',
    tags,
    request: { query: NoQuery },
    responses: json(z.array(BridgeInfo), 'The bridges, in the order they were made.'),
  }),
  create: createRoute({
    method: 'post',
    path: '/v1/bridges',
    operationId: 'createBridge',
    summary: 'Make a bridge and its host port',
    tags,
    request: { query: NoQuery, body: body(CreateBridge) },
    responses: created(BridgeInfo, 'The bridge.'),
  }),
  get: createRoute({
    method: 'get',
    path,
    operationId: 'getBridge',
    summary: 'One bridge',
    tags,
    request: { params: BridgePath, query: NoQuery },
    responses: json(BridgeInfo, 'The bridge.'),
  }),
  change: createRoute({
    method: 'patch',
    path,
    operationId: 'changeBridge',
    summary: 'Change settings of a bridge',
    tags,
    request: { params: BridgePath, query: NoQuery, body: body(ChangeBridge) },
    responses: json(BridgeInfo, 'The bridge after the change.'),
  }),
  remove: createRoute({
    method: 'delete',
    path,
    operationId: 'removeBridge',
    summary: 'Remove a bridge and all its ports',
    tags,
    request: { params: BridgePath, query: NoQuery },
    responses: nothing('It is removed.'),
  }),
};

/** @param docker while its drivers run */
export function addBridgeRoutes(app: OpenAPIHono, control: Control, docker?: DockerNetworks): void {
  app.openapi(bridgeRoutes.list, (c) => c.json(control.listBridges(), 200));
  app.openapi(bridgeRoutes.create, async (c) => c.json(await control.createBridge(c.req.valid('json')), 201));
  app.openapi(bridgeRoutes.get, (c) => c.json(control.getBridge(c.req.valid('param').bridge), 200));
  app.openapi(bridgeRoutes.change, async (c) =>
    c.json(await control.changeBridge(c.req.valid('param').bridge, c.req.valid('json')), 200),
  );
  app.openapi(bridgeRoutes.remove, async (c) => {
    const { bridge } = c.req.valid('param');
    const removed = docker !== undefined && (await removedFor(docker, control.getBridge(bridge)));
    if (!removed) await control.removeBridge(bridge);
    return c.body(null, 204);
  });
}
