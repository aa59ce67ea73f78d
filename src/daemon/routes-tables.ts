/** FDB, neighbors and counters of a bridge. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Control } from '../control/control.js';
import { body, json, nothing } from './answers.js';
import {
  AddFdb,
  AddNeighbor,
  BridgePath,
  CountersInfo,
  FdbInfo,
  FdbPath,
  NeighborInfo,
  NeighborPath,
  NoQuery,
  Removed,
  VlanQuery,
} from './schemas.js';

const fdb = '/v1/bridges/{bridge}/fdb';
const neighbors = '/v1/bridges/{bridge}/neighbors';
const tags = ['tables'];

export const tableRoutes = {
  listFdb: createRoute({
    method: 'get',
    path: fdb,
    operationId: 'listFdb',
    summary: 'Which MAC is behind which port',
    tags,
    request: { params: BridgePath, query: NoQuery },
    responses: json(z.array(FdbInfo), 'The entries, by port and MAC.'),
  }),
  addFdb: createRoute({
    method: 'post',
    path: fdb,
    operationId: 'addFdb',
    summary: 'Pin a MAC to a port',
    tags,
    request: { params: BridgePath, query: NoQuery, body: body(AddFdb) },
    responses: nothing('It is pinned.'),
  }),
  flushFdb: createRoute({
    method: 'delete',
    path: fdb,
    operationId: 'flushFdb',
    summary: 'Forget what was learned',
    tags,
    request: { params: BridgePath, query: NoQuery },
    responses: json(Removed, 'How many entries were forgotten.'),
  }),
  removeFdb: createRoute({
    method: 'delete',
    path: `${fdb}/{mac}`,
    operationId: 'removeFdb',
    summary: 'Remove one entry',
    tags,
    request: { params: FdbPath, query: VlanQuery },
    responses: nothing('It is removed.'),
  }),
  listNeighbors: createRoute({
    method: 'get',
    path: neighbors,
    operationId: 'listNeighbors',
    summary: 'Which IP address has which MAC',
    tags,
    request: { params: BridgePath, query: NoQuery },
    responses: json(z.array(NeighborInfo), 'The entries, by address.'),
  }),
  addNeighbor: createRoute({
    method: 'post',
    path: neighbors,
    operationId: 'addNeighbor',
    summary: 'Enter a neighbor the bridge answers ARP for',
    tags,
    request: { params: BridgePath, query: NoQuery, body: body(AddNeighbor) },
    responses: nothing('It is entered.'),
  }),
  removeNeighbor: createRoute({
    method: 'delete',
    path: `${neighbors}/{ip}`,
    operationId: 'removeNeighbor',
    summary: 'Remove a neighbor',
    tags,
    request: { params: NeighborPath, query: NoQuery },
    responses: nothing('It is removed.'),
  }),
  counters: createRoute({
    method: 'get',
    path: '/v1/bridges/{bridge}/counters',
    operationId: 'counters',
    summary: 'What was counted, with every reason of a drop',
    tags,
    request: { params: BridgePath, query: NoQuery },
    responses: json(CountersInfo, 'Counters of the bridge and of each port.'),
  }),
};

export function addTableRoutes(app: OpenAPIHono, control: Control): void {
  app.openapi(tableRoutes.listFdb, async (c) => c.json(await control.listFdb(c.req.valid('param').bridge), 200));
  app.openapi(tableRoutes.addFdb, async (c) => {
    await control.addFdb(c.req.valid('param').bridge, c.req.valid('json'));
    return c.body(null, 204);
  });
  app.openapi(tableRoutes.flushFdb, async (c) => c.json({ removed: await control.flushFdb(c.req.valid('param').bridge) }, 200));
  app.openapi(tableRoutes.removeFdb, async (c) => {
    const { bridge, mac } = c.req.valid('param');
    await control.removeFdb(bridge, mac, c.req.valid('query').vlan);
    return c.body(null, 204);
  });
  app.openapi(tableRoutes.listNeighbors, async (c) => c.json(await control.listNeighbors(c.req.valid('param').bridge), 200));
  app.openapi(tableRoutes.addNeighbor, async (c) => {
    await control.addNeighbor(c.req.valid('param').bridge, c.req.valid('json'));
    return c.body(null, 204);
  });
  app.openapi(tableRoutes.removeNeighbor, async (c) => {
    const { bridge, ip } = c.req.valid('param');
    await control.removeNeighbor(bridge, ip);
    return c.body(null, 204);
  });
  app.openapi(tableRoutes.counters, (c) => c.json(control.counters(c.req.valid('param').bridge), 200));
}
