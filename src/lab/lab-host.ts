/**
 * A host of a lab: a namespace and a process that lives in it.
 *
 *     parent  LabHost.ping(...) ──request──▶ child (host-process) in the namespace ──▶ its kernel stack
 *                      ◀──answer──
 *
 * Links and addresses are set from the parent (LabNamespace); only what needs a socket of the namespace's stack goes through the child.
 * Requests are answered in any order, but a ping or a call of the traffic addon occupies the child until it is done.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { compiledModule } from './compiled.js';
import type { LabNamespace } from './lab-namespace.js';
import type {
  FromHost,
  HostAnswer,
  HostArguments,
  HostRequest,
  PingOptions,
  PingResult,
  StreamOptions,
  StreamResult,
  ToHost,
  UdpEchoOptions,
} from './requests.js';

interface Waiting {
  resolve: (answer: never) => void;
  reject: (error: Error) => void;
}

export class LabHost {
  readonly name: string;
  readonly namespace: LabNamespace;
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private requests = 0;
  private ended: Error | null = null;
  private readonly exited: Promise<void>;

  private constructor(name: string, namespace: LabNamespace, child: ChildProcess) {
    this.name = name;
    this.namespace = namespace;
    this.child = child;
    this.exited = new Promise((resolve) => {
      const end = (reason: string): void => {
        this.fail(new Error(`host ${name} ended: ${reason}`));
        resolve();
      };
      child.once('exit', (status, signal) => end(signal ?? `status ${status}`));
      child.once('error', (error) => end(error.message));
    });
  }

  /** Starts the process and waits until it is inside. @throws Error when it cannot enter */
  static async start(name: string, namespace: LabNamespace): Promise<LabHost> {
    const child = fork(compiledModule('host-process.js'), [], {
      // Descriptor 4 is the namespace: no path is needed, and none that could be taken over by another namespace.
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', namespace.descriptor],
      execArgv: [],
    });
    const host = new LabHost(name, namespace, child);
    await new Promise<void>((resolve, reject) => {
      host.waiting.set(0, { resolve, reject });
      child.on('message', (message: FromHost) => host.take(message));
    });
    return host;
  }

  /** Process id of the child: what `attach --pid` takes. */
  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Opens the host's namespace from any process that may. */
  get netnsPath(): string {
    return this.namespace.path;
  }

  /** Lost echoes are missing from the result, they are no error. @throws Error e.g. ENETUNREACH */
  ping(options: PingOptions): Promise<PingResult> {
    return this.request('ping', options);
  }

  /** Listens for one TCP stream; `result` waits for its end. */
  async tcpServe(port = 0): Promise<{ port: number; result: () => Promise<StreamResult> }> {
    const served = await this.request('tcp-serve', { port });
    return { port: served.port, result: () => this.request('tcp-result', { port: served.port }) };
  }

  /** Sends a stream whose bytes `tcpServe` checks, and waits for the close of the other side. */
  tcpSend(options: StreamOptions): Promise<{ bytes: number; millis: number }> {
    return this.request('tcp-send', options);
  }

  /** Answers datagrams with themselves. */
  udpServe(port = 0): Promise<{ port: number }> {
    return this.request('udp-serve', { port });
  }

  /** Sends datagrams to a `udpServe` and counts the answers. */
  udpSend(options: UdpEchoOptions): Promise<{ sent: number; answered: number }> {
    return this.request('udp-send', options);
  }

  /** @param path e.g. net/ipv6/conf/all/disable_ipv6 */
  sysctl(path: string, value: string | number): Promise<null> {
    return this.request('sysctl', { path, value });
  }

  request<Name extends HostRequest>(request: Name, args: HostArguments<Name>): Promise<HostAnswer<Name>> {
    return new Promise((resolve, reject) => {
      if (this.ended !== null) {
        reject(this.ended);
        return;
      }
      const id = ++this.requests;
      this.waiting.set(id, { resolve, reject });
      const message: ToHost = { id, request, args };
      this.child.send(message, (error) => {
        if (error !== null) this.settle(id)?.reject(error);
      });
    });
  }

  /** Ends the process and removes the namespace. Idempotent. */
  async close(): Promise<void> {
    this.closeNow();
    await this.exited;
  }

  /** The same without waiting for the process to be gone. */
  closeNow(): void {
    this.fail(new Error(`host ${this.name} was closed`));
    // It has nothing to save, and SIGTERM would wait for a blocking call.
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    this.namespace.close();
  }

  private take(message: FromHost): void {
    if ('ready' in message) {
      this.settle(0)?.resolve(undefined as never);
    } else if ('error' in message) {
      this.settle(message.id)?.reject(Object.assign(new Error(`${this.name}: ${message.error}`), { code: message.code }));
    } else {
      this.settle(message.id)?.resolve(message.answer as never);
    }
  }

  private settle(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }

  private fail(error: Error): void {
    this.ended ??= error;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
