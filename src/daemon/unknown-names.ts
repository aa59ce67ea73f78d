/** A bridge or a port in the path, or a port flows are asked for, that nobody here knows may be called so by Docker: it is asked once, then the route decides. */
import type { MiddlewareHandler } from 'hono';
import type { Control } from '../control/control.js';
import { ControlError } from '../control/control-error.js';
import type { DockerNetworks } from './docker-networks.js';

/** What may be called otherwise, in /v1/bridges/{bridge}/ports/{port} and other routes below a bridge. */
export const NAMING_PATHS = '/v1/bridges/*';
const NAMES = /^\/v1\/bridges\/([^/]+)(?:\/ports\/([^/]+)$)?/;
/** In the query, of flows. */
const PORT_FILTER = 'portName';

export function askForUnknownNames(control: Control, names: Pick<DockerNetworks, 'lookUp'>): MiddlewareHandler {
  return async (c, next) => {
    const [, bridge, port] = NAMES.exec(c.req.path) ?? [];
    if (bridge !== undefined && !isKnown(control, bridge, port, c.req.query(PORT_FILTER))) await names.lookUp();
    await next();
  };
}

/**
 * @param bridge as it stands in the path
 * @param port the same
 * @param filter a port in plain text
 */
function isKnown(control: Control, bridge: string, port: string | undefined, filter: string | undefined): boolean {
  try {
    const name = decodeURIComponent(bridge);
    control.getBridge(name);
    if (port !== undefined) control.getPort(name, decodeURIComponent(port));
    if (filter !== undefined) control.getPort(name, filter);
    return true;
  } catch (error) {
    return !(error instanceof ControlError && error.code === 'not-found');
  }
}
