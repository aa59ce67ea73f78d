/** One TCP port of the host, served by connections to a container. Either side may end its direction and go on receiving, as in the container itself. */
import { connect, createServer, type Socket } from 'node:net';
import type { Listening, Place } from './host-listener.js';

const MAX_CONNECTIONS = 4096;
/** A container that does not answer: the client hears so in seconds instead of minutes. */
const CONNECT_MILLIS = 10_000;

interface Endpoint {
  host: string;
  port: number;
}

/** @param connections shared by the ports of one publish. @throws the system's error (EADDRINUSE, EADDRNOTAVAIL, ...) */
export function listenTcp(from: Place, to: Endpoint, connections: { count: number }): Promise<Listening> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
    if (connections.count >= MAX_CONNECTIONS) {
      reset(client);
      return;
    }
    connections.count++;
    const container = connect({ ...to, allowHalfOpen: true, noDelay: true });
    sockets.add(client).add(container);
    container.setTimeout(CONNECT_MILLIS, () => reset(client));
    container.once('connect', () => {
      container.setTimeout(0);
      client.pipe(container);
      container.pipe(client);
    });
    let open = 2;
    const closed = (socket: Socket, other: Socket) => {
      sockets.delete(socket);
      if (--open === 0) connections.count--;
      // Ended on both sides it closes by itself; else it was reset, or never connected.
      if (!socket.readableEnded || !socket.writableFinished) reset(other);
    };
    // What went wrong shows as a reset at the other side.
    client.on('error', () => {});
    container.on('error', () => {});
    client.once('close', () => closed(client, container));
    container.once('close', () => closed(container, client));
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const where = 'fd' in from ? { fd: from.fd } : from;
    server.listen({ ...where, backlog: 511, exclusive: true }, () => {
      server.off('error', reject);
      // No descriptors left for a connection: that connection is lost, not the port.
      server.on('error', () => {});
      resolve({
        close: () => {
          server.close();
          for (const socket of sockets) reset(socket);
        },
      });
    });
  });
}

/** `resetAndDestroy` of a socket that is connecting waits until it is connected or the kernel gives up, which is minutes. */
function reset(socket: Socket): void {
  if (socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}
