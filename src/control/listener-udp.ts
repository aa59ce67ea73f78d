/**
 * One UDP port of the host, served by a connected socket for each client, so that answers find their way back and an error (port unreachable)
 * ends only that client's session. A session nobody used for 60 to 120 s ends; with all of them in use the one unused for the longest gives way.
 */
import { createSocket, type Socket } from 'node:dgram';
import type { Listening, Place } from './host-listener.js';

const MAX_SESSIONS = 1024;
const SWEEP_MILLIS = 60_000;

interface Endpoint {
  host: string;
  port: number;
}

interface Session {
  socket: Socket;
  /** Sweep it was last used before. */
  used: number;
}

/** Sessions of all ports of one publish, the least recently used first. */
export class UdpSessions implements Listening {
  private readonly sessions = new Map<string, Session>();
  private readonly timer: NodeJS.Timeout;
  private sweeps = 0;

  constructor() {
    this.timer = setInterval(() => this.sweep(), SWEEP_MILLIS).unref();
  }

  get size(): number {
    return this.sessions.size;
  }

  find(key: string): Socket | undefined {
    const session = this.sessions.get(key);
    if (session === undefined) return undefined;
    session.used = this.sweeps;
    this.sessions.delete(key);
    this.sessions.set(key, session);
    return session.socket;
  }

  add(key: string, socket: Socket): void {
    if (this.sessions.size >= MAX_SESSIONS) this.end(this.sessions.keys().next().value as string);
    this.sessions.set(key, { socket, used: this.sweeps });
  }

  end(key: string): void {
    const session = this.sessions.get(key);
    this.sessions.delete(key);
    session?.socket.close();
  }

  close(): void {
    clearInterval(this.timer);
    for (const key of [...this.sessions.keys()]) this.end(key);
  }

  private sweep(): void {
    this.sweeps++;
    for (const [key, { used }] of this.sessions) if (used < this.sweeps - 1) this.end(key);
  }
}

/** @throws the system's error (EADDRINUSE, EADDRNOTAVAIL, ...) */
export function listenUdp(from: Place, to: Endpoint, sessions: UdpSessions): Promise<Listening> {
  const server = createSocket('udp4');
  let closed = false;
  const open = (key: string, client: Endpoint): Socket => {
    const socket = createSocket('udp4');
    sessions.add(key, socket);
    socket.on('error', () => {
      if (sessions.find(key) === socket) sessions.end(key);
    });
    socket.on('message', (data) => {
      if (closed || sessions.find(key) !== socket) return;
      server.send(data, client.port, client.host, () => {});
    });
    socket.connect(to.port, to.host);
    return socket;
  };
  server.on('message', (data, { address, port }) => {
    const key = `${from.port} ${address} ${port}`;
    const known = sessions.find(key);
    if (known !== undefined) {
      forward(known, data);
      return;
    }
    const socket = open(key, { host: address, port });
    socket.once('connect', () => forward(socket, data));
  });
  return new Promise((resolve, reject) => {
    const refuse = (error: Error) => {
      server.close();
      reject(error);
    };
    server.once('error', refuse);
    const where = 'fd' in from ? { fd: from.fd } : { address: from.host, port: from.port };
    server.bind({ ...where, exclusive: true }, () => {
      server.off('error', refuse);
      server.on('error', () => {});
      resolve({
        close: () => {
          if (closed) return;
          closed = true;
          server.close();
        },
      });
    });
  });
}

/** A datagram for a socket that is connecting or was closed meanwhile is lost, as datagrams may be. */
function forward(socket: Socket, data: Buffer): void {
  try {
    socket.send(data, () => {});
  } catch {
    // ERR_SOCKET_DGRAM_NOT_CONNECTED or ..._NOT_RUNNING.
  }
}
