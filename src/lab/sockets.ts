/**
 * Sockets of a lab's host, held one message at a time: what a test opens, says and hears there. For load there are streams and traffic; here it is
 * about who is heard under which address, and which errors come back.
 *
 * Limits: what nobody hears stays (1,024 messages a socket, then the oldest go); text is Latin-1, so that a character is a byte.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, type Server, type Socket as TcpSocket } from 'node:net';

const ANY = '0.0.0.0';
const HELD_MESSAGES = 1024;
const HEAR_MILLIS = 5000;

/** One message, the end of a stream (`text` empty, `ended`), or the error the kernel reported (`error`, e.g. ECONNREFUSED). */
export interface Heard {
  text: string;
  /** Of whom it came from. */
  address: string;
  port: number;
  ended?: true;
  error?: string;
}

/** An open socket and its own address. */
export interface Opened {
  socket: number;
  address: string;
  port: number;
}

/** A stream that was accepted, and the client as the server sees it. */
export interface Accepted {
  socket: number;
  address: string;
  port: number;
}

export interface UdpOpen {
  /** Default 0: the kernel chooses. */
  port?: number;
  /** Of the socket itself. Default: any. */
  address?: string;
  /** Hears only from there, and hears errors. */
  connect?: { address: string; port: number };
  /** IP_TTL. Default: the namespace's. */
  ttl?: number;
}

export interface TcpOpen {
  address: string;
  port: number;
  localPort?: number;
  /** Default 3000, then ETIMEDOUT. */
  timeoutMillis?: number;
}

export interface Say {
  socket: number;
  text: string;
  /** Of an unconnected UDP socket. */
  address?: string;
  port?: number;
}

/** Requests about sockets, as HostRequests has them. */
export interface SocketRequests {
  'udp-open': [UdpOpen, Opened];
  /** @throws ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH … */
  'tcp-open': [TcpOpen, Opened];
  /** @throws EADDRINUSE */
  'tcp-listen': [{ port?: number; address?: string }, Opened];
  /** Null: nobody came in time. Default 2000. */
  'tcp-accept': [{ socket: number; timeoutMillis?: number }, Accepted | null];
  say: [Say, null];
  /** Null: nothing came in time. Default 2000. */
  hear: [{ socket: number; timeoutMillis?: number }, Heard | null];
  shut: [{ socket: number }, null];
}

/** What came and was not asked for yet, and who waits. */
class Inbox<Item> {
  private readonly held: Item[] = [];
  private readonly waiting: ((item: Item) => void)[] = [];

  put(item: Item): void {
    const first = this.waiting.shift();
    if (first !== undefined) {
      first(item);
      return;
    }
    if (this.held.length === HELD_MESSAGES) this.held.shift();
    this.held.push(item);
  }

  take(timeoutMillis: number): Promise<Item | null> {
    const item = this.held.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => {
      const taken = (came: Item | null): void => {
        clearTimeout(timer);
        resolve(came);
      };
      const timer = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(taken), 1);
        resolve(null);
      }, timeoutMillis);
      this.waiting.push(taken);
    });
  }
}

interface Held {
  say(message: Say): Promise<void>;
  shut(): void;
  heard: Inbox<Heard>;
  accepted: Inbox<Accepted>;
}

export class Sockets {
  private readonly held = new Map<number, Held>();
  private numbers = 0;

  async udpOpen({ port = 0, address = ANY, connect: to, ttl }: UdpOpen): Promise<Opened> {
    const udp = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    const heard = new Inbox<Heard>();
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind({ port, address, exclusive: true }, () => {
        if (to === undefined) resolve();
        else udp.connect(to.port, to.address, () => resolve());
      });
    });
    udp.removeAllListeners('error');
    udp.on('error', (error: NodeJS.ErrnoException) => heard.put(failure(error)));
    udp.on('message', (bytes: Buffer, from: RemoteInfo) =>
      heard.put({ text: bytes.toString('latin1'), address: from.address, port: from.port }),
    );
    if (ttl !== undefined) udp.setTTL(ttl);
    const own = udp.address();
    const socket = this.hold({
      heard,
      accepted: new Inbox(),
      say: (message) => sayUdp(udp, message, to !== undefined),
      shut: () => udp.close(),
    });
    return { socket, address: own.address, port: own.port };
  }

  async tcpOpen({ address, port, localPort, timeoutMillis = 3000 }: TcpOpen): Promise<Opened> {
    const tcp = connect({ host: address, port, ...(localPort === undefined ? {} : { localPort }) });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        tcp.destroy();
        reject(Object.assign(new Error(`connect ${address}:${port} takes too long`), { code: 'ETIMEDOUT' }));
      }, timeoutMillis);
      tcp.once('connect', () => {
        clearTimeout(timer);
        resolve();
      });
      tcp.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
    });
    tcp.removeAllListeners('error');
    return { socket: this.holdStream(tcp), address: tcp.localAddress ?? '', port: tcp.localPort ?? 0 };
  }

  async tcpListen({ port = 0, address = ANY }: { port?: number; address?: string }): Promise<Opened> {
    const server = createServer();
    const accepted = new Inbox<Accepted>();
    server.on('connection', (tcp) =>
      accepted.put({ socket: this.holdStream(tcp), address: tcp.remoteAddress ?? '', port: tcp.remotePort ?? 0 }),
    );
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, address, resolve);
    });
    const socket = this.hold({
      heard: new Inbox(),
      accepted,
      say: () => refuse('a listener says nothing'),
      shut: () => server.close(),
    });
    return { socket, address, port: portOf(server) };
  }

  accept({ socket, timeoutMillis = HEAR_MILLIS }: { socket: number; timeoutMillis?: number }): Promise<Accepted | null> {
    return this.of(socket).accepted.take(timeoutMillis);
  }

  async say(message: Say): Promise<null> {
    await this.of(message.socket).say(message);
    return null;
  }

  hear({ socket, timeoutMillis = HEAR_MILLIS }: { socket: number; timeoutMillis?: number }): Promise<Heard | null> {
    return this.of(socket).heard.take(timeoutMillis);
  }

  shut({ socket }: { socket: number }): null {
    this.of(socket).shut();
    this.held.delete(socket);
    return null;
  }

  private holdStream(tcp: TcpSocket): number {
    const heard = new Inbox<Heard>();
    const [address, port] = [tcp.remoteAddress ?? '', tcp.remotePort ?? 0];
    tcp.setNoDelay(true);
    tcp.on('data', (bytes: Buffer) => heard.put({ text: bytes.toString('latin1'), address, port }));
    tcp.on('end', () => heard.put({ text: '', address, port, ended: true }));
    tcp.on('error', (error: NodeJS.ErrnoException) => heard.put(failure(error)));
    return this.hold({
      heard,
      accepted: new Inbox(),
      say: ({ text }) =>
        new Promise((resolve, reject) => {
          tcp.write(Buffer.from(text, 'latin1'), (error) => (error == null ? resolve() : reject(error)));
        }),
      shut: () => tcp.end(),
    });
  }

  private hold(held: Held): number {
    this.held.set(++this.numbers, held);
    return this.numbers;
  }

  private of(socket: number): Held {
    const held = this.held.get(socket);
    if (held === undefined) throw new Error(`there is no socket ${socket}`);
    return held;
  }
}

function sayUdp(udp: UdpSocket, { text, address, port }: Say, connected: boolean): Promise<void> {
  const bytes = Buffer.from(text, 'latin1');
  return new Promise((resolve, reject) => {
    const said = (error: Error | null): void => (error === null ? resolve() : reject(error));
    if (connected) udp.send(bytes, said);
    else udp.send(bytes, port, address, said);
  });
}

function failure(error: NodeJS.ErrnoException): Heard {
  return { text: '', address: '', port: 0, error: error.code ?? error.message };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function refuse(why: string): Promise<never> {
  return Promise.reject(new Error(why));
}
