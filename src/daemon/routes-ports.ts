/** /v1/bridges/{bridge}/ports and below */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Control } from '../control/control.js';
import { body, created, json, nothing } from './answers.js';
import { refuseDockersPort } from './docker-networks.js';
import { AttachPort, BridgePath, ChangePort, NoQuery, PortInfo, PortPath } from './schemas.js';

const all = '/v1/bridges/{bridge}/ports';
const path = '/v1/bridges/{bridge}/ports/{port}';
const tags = ['ports'];

export const portRoutes = {
  list: createRoute({
    method: 'get',
    path: all,
    operationId: 'listPorts',
    summary: 'Ports of a bridge',
    tags,
    request: { params: BridgePath, query: NoQuery },
    responses: json(z.array(PortInfo), 'The host port, then the others in the order they were attached.'),
  }),
  attach: createRoute({
    method: 'post',
    path: all,
    operationId: 'attachPort',
    summary: 'Attach a namespace, an interface or a file',
    description: 'Exactly one of netns, pid, iface, capture and replay says what is attached.',
    tags,
    request: { params: BridgePath, query: NoQuery, body: body(AttachPort) },
    responses: created(PortInfo, 'The port.'),
  }),
  get: createRoute({
    method: 'get',
    path,
    operationId: 'getPort',
    summary: 'One port',
    tags,
    request: { params: PortPath, query: NoQuery },
    responses: json(PortInfo, 'The port.'),
  }),
  change: createRoute({
    method: 'patch',
    path,
    operationId: 'changePort',
    summary: 'Change settings of a port',
    tags,
    request: { params: PortPath, query: NoQuery, body: body(ChangePort) },
    responses: json(PortInfo, 'The port after the change.'),
  }),
  detach: createRoute({
    method: 'delete',
    path,
    operationId: 'detachPort',
    summary: 'Detach a port',
    tags,
    request: { params: PortPath, query: NoQuery },
    responses: nothing('It is detached.'),
  }),
};

export function addPortRoutes(app: OpenAPIHono, control: Control): void {
  app.openapi(portRoutes.list, (c) => c.json(control.listPorts(c.req.valid('param').bridge), 200));
  app.openapi(portRoutes.attach, async (c) =>
    c.json(await control.attach(c.req.valid('param').bridge, c.req.valid('json')), 201),
  );
  app.openapi(portRoutes.get, (c) => {
    const { bridge, port } = c.req.valid('param');
    return c.json(control.getPort(bridge, port), 200);
  });
  app.openapi(portRoutes.change, async (c) => {
    const { bridge, port } = c.req.valid('param');
    return c.json(await control.changePort(bridge, port, c.req.valid('json')), 200);
  });
  app.openapi(portRoutes.detach, async (c) => {
    const { bridge, port } = c.req.valid('param');
    refuseDockersPort(control.getPort(bridge, port), control.getBridge(bridge));
    await control.detach(bridge, port);
    return c.body(null, 204);
  });
}
