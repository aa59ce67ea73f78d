/** Many containers come and go: nothing of them stays. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, OUTSIDE_ADDRESS, WEB_SERVER } from './docker-world.js';

const COUNT = 50;
const AT_A_TIME = 5;

describeSystem('docker: fifty containers', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld;
  beforeAll(async () => {
    world = await DockerWorld.open();
    await world.network('many', '--subnet', '10.66.0.0/24', '--ipam-driver', world.driver);
    await world.serve(world.outside.namespace, 80);
  });
  afterAll(() => world?.close());

  const names = Array.from({ length: COUNT }, (_, index) => `c${index}`);

  async function inParallel(work: (name: string, index: number) => Promise<unknown>, some = names): Promise<void> {
    for (let from = 0; from < some.length; from += AT_A_TIME) {
      await Promise.all(some.slice(from, from + AT_A_TIME).map((name, offset) => work(name, from + offset)));
    }
  }
  const start = (name: string, index: number) => world.run(name, 'many', ['--publish', `${8100 + index}:80`], WEB_SERVER);
  const ask = (name: string) => world.fetch(name, `http://${OUTSIDE_ADDRESS}/cgi-bin/who`);
  const remove = (name: string) => world.engine.ask('rm', '--force', name);

  test('started five at a time, all reach and are reached, removed: as many of everything as before', async () => {
    // Once through with some, so that what is made at the first use and kept is there.
    const few = names.slice(0, AT_A_TIME);
    await inParallel(start, few);
    await inParallel(ask, few);
    await inParallel(remove, few);
    const settled = () => eventually(async () => (await world.possessions('many')).flows === 0);
    expect(await settled()).toBe(true);
    const before = await world.possessions('many');

    await inParallel(start);
    await inParallel(async (name) => expect(await ask(name)).toBe(HOST_ADDRESS));
    await inParallel(async (_, index) => {
      const url = `http://${HOST_ADDRESS}:${8100 + index}/cgi-bin/who`;
      expect(await world.fetchFrom(world.outside.namespace, url)).toBe(OUTSIDE_ADDRESS);
    });
    expect(await world.fetch('c0', `http://c${COUNT - 1}/`)).toBe('hello');
    const during = await world.possessions('many');
    expect(during.ports).toHaveLength(before.ports.length + COUNT);
    expect(during.neighbors).toHaveLength(before.neighbors.length + COUNT);
    expect(during.publishes).toBe(COUNT);
    expect(during.flows).toBeGreaterThanOrEqual(COUNT);

    await inParallel(remove);
    expect(await settled()).toBe(true);
    expect(await eventually(async () => (await world.possessions('many')).descriptors <= before.descriptors)).toBe(true);
    expect(await world.possessions('many')).toEqual({ ...before, descriptors: expect.any(Number) });
  });
});
