/** Names are learned after Docker's calls, by asking Docker; never in the way of anything. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BridgeInfo, ContainerInfo, NetworkInfo } from '../../src/control/model.js';
import type { EngineNetwork } from '../../src/docker/engine-api.js';
import { Names } from '../../src/docker/names.js';
import { idOf } from './fake-docker.js';

const NET = idOf('9a');
const ENDPOINT = idOf('e1e1e1e1e1e1');
const WEB = { id: idOf('c1'), name: 'web' };

class Told {
  readonly network: NetworkInfo = { engine: 'docker', id: NET, name: null };
  readonly containers = new Map<string, ContainerInfo>();
  writes = 0;
  /** Ports that are gone. */
  readonly gone = new Set<string>();

  listBridges(): BridgeInfo[] {
    return [
      { name: 'tb0', network: null },
      { name: 'tb-9a', network: { ...this.network } },
    ] as BridgeInfo[];
  }

  async setNetwork(bridge: string, network: NetworkInfo): Promise<void> {
    expect(bridge).toBe('tb-9a');
    this.writes++;
    Object.assign(this.network, network);
  }

  async setContainer(bridge: string, port: string, container: ContainerInfo): Promise<void> {
    expect(bridge).toBe('tb-9a');
    if (this.gone.has(port)) throw new Error('no such port');
    this.writes++;
    this.containers.set(port, container);
  }
}

class Asked {
  readonly socketPath = '/var/run/docker.sock';
  found: EngineNetwork | null = null;
  fails = false;
  hangs = false;
  questions = 0;

  async network(): Promise<EngineNetwork | null> {
    this.questions++;
    if (this.hangs) return new Promise(() => {});
    if (this.fails) throw new Error('connect ENOENT');
    return this.found;
  }

  async networks(): Promise<{ id: string; name: string }[]> {
    const found = await this.network();
    return found === null ? [] : [{ id: found.id, name: found.name }];
  }
}

let control: Told;
let api: Asked;
let names: Names;
let told: string[];

beforeEach(() => {
  vi.useFakeTimers();
  control = new Told();
  api = new Asked();
  told = [];
  const say = (_: object, message: string) => void told.push(message);
  names = new Names(control, api, { debug() {}, info: say, warn: say, error: say });
});

afterEach(() => {
  names.close();
  vi.useRealTimers();
});

describe('a network that was made', () => {
  test('is asked for once its call is answered, not in it', async () => {
    api.found = { id: NET, name: 'mynet', endpoints: [] };
    names.learn(NET);
    expect(api.questions).toBe(0);
    await vi.advanceTimersByTimeAsync(100);
    expect(control.network).toEqual({ engine: 'docker', id: NET, name: 'mynet' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(api.questions).toBe(1);
  });

  test('which Docker has not stored yet is asked for again, and not for ever', async () => {
    names.learn(NET);
    await vi.advanceTimersByTimeAsync(300);
    expect(api.questions).toBe(2);
    api.found = { id: NET, name: 'mynet', endpoints: [] };
    await vi.advanceTimersByTimeAsync(400);
    expect(control.network.name).toBe('mynet');

    api.found = null;
    names.learn(NET);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(api.questions).toBe(3 + 8);
  });

  test('which is removed is not asked for any more', async () => {
    names.learn(NET);
    names.forgetNetwork(NET);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(api.questions).toBe(0);
  });
});

describe('an endpoint that was joined', () => {
  test('names the container of its port as soon as Docker does', async () => {
    api.found = { id: NET, name: 'mynet', endpoints: [] };
    names.learn(NET, ENDPOINT);
    await vi.advanceTimersByTimeAsync(100);
    expect(control.containers.size).toBe(0);
    api.found.endpoints.push({ id: ENDPOINT, container: WEB });
    await vi.advanceTimersByTimeAsync(200);
    expect(control.containers.get('e1e1e1e1e1e1')).toEqual({ engine: 'docker', ...WEB });
  });

  test('many at once are one question, and each is told once', async () => {
    const ids = Array.from({ length: 50 }, (_, n) => idOf(`e${String(n).padStart(11, '0')}`));
    api.found = { id: NET, name: 'mynet', endpoints: ids.map((id) => ({ id, container: WEB })) };
    for (const id of ids) names.learn(NET, id);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(api.questions).toBe(1);
    expect(control.containers.size).toBe(50);
    const { writes } = control;
    names.learn(NET);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(control.writes).toBe(writes);
  });

  test('a container that is renamed is told again', async () => {
    api.found = { id: NET, name: 'mynet', endpoints: [{ id: ENDPOINT, container: WEB }] };
    await names.lookUp();
    api.found.endpoints[0].container = { ...WEB, name: 'shop' };
    await names.lookUp();
    expect(control.containers.get('e1e1e1e1e1e1')?.name).toBe('shop');
  });

  test('which was left, or whose port is gone, is waited for no more', async () => {
    api.found = { id: NET, name: 'mynet', endpoints: [] };
    names.learn(NET, ENDPOINT);
    names.forgetEndpoint(NET, ENDPOINT);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(api.questions).toBe(1);
    control.gone.add('e1e1e1e1e1e1');
    api.found.endpoints.push({ id: ENDPOINT, container: WEB });
    await names.lookUp();
    expect(control.containers.size).toBe(0);
  });
});

test('whether Docker has a network: only its own word counts', async () => {
  expect(await names.isGone(NET)).toBe(true);
  api.found = { id: NET, name: 'mynet', endpoints: [] };
  expect(await names.isGone(NET)).toBe(false);
  api.fails = true;
  expect(await names.isGone(NET)).toBe(false);
});

describe('without Docker', () => {
  test('nothing is known, nothing fails, and it is said once', async () => {
    api.fails = true;
    names.learnAll();
    await vi.advanceTimersByTimeAsync(60_000);
    await names.lookUp();
    expect(told).toEqual(['cannot ask Docker for the names of networks and containers']);
    expect(control.network.name).toBeNull();
  });

  test('whoever asks waits a second at most', async () => {
    api.hangs = true;
    const asked = names.lookUp();
    await vi.advanceTimersByTimeAsync(1000);
    await asked;
    // Not once more while the first question is open.
    void names.lookUp();
    expect(api.questions).toBe(1);
  });
});
