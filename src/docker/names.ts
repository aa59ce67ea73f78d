/**
 * What Docker calls networks and containers. The driver's calls name neither: CreateNetwork has the network's id, CreateEndpoint and Join an
 * endpoint's. Docker's own API knows the rest, so it is asked, always after the call was answered: Docker holds locks while it calls us.
 *
 *     CreateNetwork, Join answered ─▶ learn(network) ─▶ GET /networks/ID ─▶ control.setNetwork, setContainer
 *                                        └── not there yet, no answer: again after 0.1, 0.2, 0.4 … 6.4 s, then no more
 *     somebody asks for a name that is unknown ─▶ lookUp() ─▶ GET /networks, then as above; waits a second at most
 *
 * Names are for people: everything works without them. Without Docker they stay null, and one line in the log says so.
 * Invariants: one question at a time; what is to be learned is one entry for each network that was
 * told of, for 13 s at most; what was learned is one entry for each container of a network there is.
 */
import { type Log, reasonOf } from '../control/log.js';
import type { BridgeInfo, ContainerInfo, NetworkInfo } from '../control/model.js';
import { Serial } from '../control/serial.js';
import type { EngineNetwork } from './engine-api.js';

const FIRST_WAIT_MILLIS = 100;
const ATTEMPTS = 8;
const LOOK_UP_MILLIS = 1000;
/** Names of ports are the beginnings of their endpoints' ids. */
const PORT_NAME_DIGITS = 12;

/** What names are told to. */
export interface NamedControl {
  listBridges(): BridgeInfo[];
  setNetwork(bridge: string, network: NetworkInfo): Promise<unknown>;
  setContainer(bridge: string, port: string, container: ContainerInfo): Promise<unknown>;
}

/** Who is asked. */
export interface NamingApi {
  readonly socketPath: string;
  network(id: string): Promise<EngineNetwork | null>;
  networks(): Promise<{ id: string; name: string }[]>;
}

interface Wanted {
  attempt: number;
  /** Endpoints whose containers are unknown. */
  endpoints: Set<string>;
  timer: NodeJS.Timeout | undefined;
}

export function portNameOf(endpointId: string): string {
  return endpointId.slice(0, PORT_NAME_DIGITS);
}

export class Names {
  private readonly control: NamedControl;
  private readonly api: NamingApi;
  private readonly log: Log;
  private readonly serial = new Serial();
  /** By the network's id. */
  private readonly wanted = new Map<string, Wanted>();
  /** Containers as control was last told, by network and endpoint: it writes its record each time. */
  private readonly told = new Map<string, Map<string, string>>();
  private lookingUp: Promise<void> | undefined;
  private reachable = true;
  private closed = false;

  constructor(control: NamedControl, api: NamingApi, log: Log) {
    this.control = control;
    this.api = api;
    this.log = log;
  }

  /**
   * Asks, soon, what a network is called and who its containers are. Returns at once.
   * @param endpoint one that was joined just now: asked for until Docker knows its container
   */
  learn(networkId: string, endpoint?: string): void {
    if (this.closed) return;
    const wanted = this.wanted.get(networkId) ?? { attempt: 0, endpoints: new Set(), timer: undefined };
    this.wanted.set(networkId, wanted);
    wanted.attempt = 0;
    if (endpoint !== undefined) wanted.endpoints.add(endpoint);
    this.schedule(networkId, wanted);
  }

  /** An endpoint was left: nobody waits for its container any more. */
  forgetEndpoint(networkId: string, endpoint: string): void {
    this.wanted.get(networkId)?.endpoints.delete(endpoint);
  }

  forgetNetwork(networkId: string): void {
    this.cease(networkId);
    this.told.delete(networkId);
  }

  /** All networks of Docker's there are, as after a restart. */
  learnAll(): void {
    for (const { network } of this.bridges()) this.learn(network.id);
  }

  /** Asks once more, because somebody named what is unknown. Resolves within a second, whether something was learned or not. */
  async lookUp(): Promise<void> {
    if (this.closed || this.bridges().length === 0) return;
    this.lookingUp ??= this.askAll().finally(() => {
      this.lookingUp = undefined;
    });
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LOOK_UP_MILLIS);
    });
    await Promise.race([this.lookingUp, enough]);
    clearTimeout(timer);
  }

  /** Whether Docker answers, and has no such network. */
  async isGone(networkId: string): Promise<boolean> {
    try {
      return (await this.api.network(networkId)) === null;
    } catch {
      return false;
    }
  }

  close(): void {
    this.closed = true;
    for (const id of [...this.wanted.keys()]) this.cease(id);
  }

  private cease(networkId: string): void {
    clearTimeout(this.wanted.get(networkId)?.timer);
    this.wanted.delete(networkId);
  }

  private schedule(networkId: string, wanted: Wanted): void {
    clearTimeout(wanted.timer);
    wanted.timer = setTimeout(() => void this.attempt(networkId, wanted), FIRST_WAIT_MILLIS << wanted.attempt);
    wanted.timer.unref();
  }

  private async attempt(networkId: string, wanted: Wanted): Promise<void> {
    wanted.timer = undefined;
    const known = await this.ask(networkId);
    // Forgotten, or asked for anew meanwhile.
    if (this.closed || this.wanted.get(networkId) !== wanted || wanted.timer !== undefined) return;
    if (known) for (const endpoint of known) wanted.endpoints.delete(endpoint);
    wanted.attempt++;
    if ((known !== null && wanted.endpoints.size === 0) || wanted.attempt >= ATTEMPTS) this.cease(networkId);
    else this.schedule(networkId, wanted);
  }

  private async askAll(): Promise<void> {
    const listed = await this.serial.run(() => this.answer(this.api.networks()));
    for (const { id, name } of listed ?? []) {
      const bridge = this.bridges().find(({ network }) => network.id === id);
      if (bridge !== undefined) await this.nameNetwork(bridge, name);
    }
    if (listed !== null) for (const { network } of this.bridges()) await this.ask(network.id);
  }

  /** @returns the endpoints whose containers are known now; null: Docker does not know the network, or gives no answer */
  private ask(networkId: string): Promise<string[] | null> {
    return this.serial.run(async () => {
      const found = await this.answer(this.api.network(networkId));
      const bridge = this.bridges().find(({ network }) => network.id === networkId);
      if (found === null || bridge === undefined || this.closed) return null;
      await this.nameNetwork(bridge, found.name);
      const before = this.told.get(networkId);
      const told = new Map<string, string>();
      for (const { id, container } of found.endpoints) {
        const text = `${container.id} ${container.name}`;
        const info = { engine: 'docker', id: container.id, name: container.name === '' ? null : container.name } as const;
        const known = before?.get(id) === text || (await this.tell(this.control.setContainer(bridge.name, portNameOf(id), info)));
        if (known) told.set(id, text);
      }
      this.told.set(networkId, told);
      return found.endpoints.map(({ id }) => id);
    });
  }

  private async nameNetwork({ name: bridge, network }: NamedBridge, name: string): Promise<void> {
    if (network.name !== name) await this.tell(this.control.setNetwork(bridge, { ...network, name }));
  }

  /** null instead of a failure, which is told once until Docker answers again. */
  private async answer<T>(question: Promise<T | null>): Promise<T | null> {
    try {
      const answer = await question;
      this.reachable = true;
      return answer;
    } catch (error) {
      const fields = { socket: this.api.socketPath, reason: reasonOf(error) };
      if (this.reachable) this.log.info(fields, 'cannot ask Docker for the names of networks and containers');
      this.reachable = false;
      return null;
    }
  }

  /** false: what it is for went away meanwhile. */
  private async tell(told: Promise<unknown>): Promise<boolean> {
    try {
      await told;
      return true;
    } catch (error) {
      this.log.debug({ reason: reasonOf(error) }, 'a name for what is gone');
      return false;
    }
  }

  private bridges(): NamedBridge[] {
    return this.control.listBridges().filter((bridge): bridge is NamedBridge => bridge.network?.engine === 'docker');
  }
}

type NamedBridge = BridgeInfo & { network: NetworkInfo };
