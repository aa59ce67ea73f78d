/** Where metrics are served over TCP, as the command line and the configuration have it. */
import { isIP } from 'node:net';
import { ControlError } from '../control/control-error.js';

const MAX_PORT = 0xffff;

export interface TcpAddress {
  host: string;
  port: number;
}

/** '127.0.0.1:9477', '[::1]:9477'. @throws ControlError */
export function parseTcpAddress(text: string): TcpAddress {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? '';
  const port = Number(portText ?? 0);
  const family = isIP(host);
  if (port < 1 || port > MAX_PORT || family === 0 || (family === 6) !== (bracketed !== undefined)) {
    throw new ControlError(
      'invalid',
      `${JSON.stringify(text)} is no address to serve metrics at`,
      'an address and a port, such as 127.0.0.1:9477 or [::1]:9477',
    );
  }
  return { host, port };
}
