import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ControlError } from '../../src/control/control-error.js';
import type { Undo } from '../../src/control/undo.js';
import type { PluginMethod } from '../../src/docker/plugin-server.js';
import { PluginWorld, postTo } from './plugin-world.js';

let world: PluginWorld;
/** What the calls of this test did, in order. */
let done: string[];
/** Lets the slow call go on. */
let goOn: () => void;
/** Resolves when the slow call has begun. */
let begun: Promise<void>;

beforeEach(async () => {
  done = [];
  let began = () => {};
  begun = new Promise((resolve) => {
    began = resolve;
  });
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const slow = async (_body: unknown, undo: Undo) => {
    done.push('made');
    undo.add(() => void done.push('unmade'));
    began();
    await gate;
    return { made: true };
  };
  const echo = (body: unknown) => ({ body });
  const fail = (_body: unknown, undo: Undo) => {
    undo.add(() => void done.push('unmade'));
    throw new ControlError('conflict', 'port 80\n is taken', 'choose another');
  };
  const methods: [string, PluginMethod][] = [
    ['Test.Slow', { handler: slow }],
    ['Test.Echo', { handler: echo }],
    ['Test.Fail', { handler: fail }],
    ['Test.Bare', { handler: () => ({ bare: true }), empty: true }],
  ];
  world = await PluginWorld.open(methods);
});

afterEach(async () => {
  goOn();
  await world.close();
});

describe('answers', () => {
  test('what the handler answers, of the type dockerd asks for', async () => {
    expect(await world.call('Test.Echo', { a: 1 })).toEqual({ status: 200, body: { body: { a: 1 } } });
  });

  test('a call without arguments: whatever its body is', async () => {
    for (const body of [undefined, '{}', 'x']) expect((await world.call('Test.Bare', body)).body).toEqual({ bare: true });
  });

  test('an error under both keys, in one line with what to do; what was made is unmade', async () => {
    const text = 'port 80 is taken (choose another)';
    expect(await world.call('Test.Fail', {})).toEqual({ status: 200, body: { Err: text, Error: text } });
    expect(done).toEqual(['unmade']);
  });

  test.each(['/', '/NetworkDriver.Nothing', '/Test.Echo/', '//Test.Echo', '/Test.Echo?x=1', '/__proto__'])(
    '%s: 404',
    async (path) => {
      expect((await world.post(path, '{}')).status).toBe(404);
    },
  );

  test('another method than POST: 404', async () => {
    expect((await world.post('/Test.Echo', '', 'GET')).status).toBe(404);
  });
});

describe('hostile bodies', () => {
  test('an empty one is the second attempt after a broken connection: refused', async () => {
    expect((await world.call('Test.Echo')).body['Err']).toContain('the connection to tapbridge broke');
  });

  test.each(['{', 'null{', '\u0000', '[1,'])('%j is refused', async (text) => {
    expect((await world.call('Test.Echo', text)).body['Err']).toContain('no JSON');
  });

  test('one that is too long is refused, and the connection goes on', async () => {
    expect((await world.call('Test.Echo', ' '.repeat((16 << 20) + 1))).body['Err']).toContain('16777216 bytes');
    expect((await world.call('Test.Echo', { a: 1 })).status).toBe(200);
  });

  test('no HTTP at all ends that connection only', async () => {
    const socket = connect(world.socket).resume();
    socket.on('error', () => {});
    socket.write('\u0000\u0001garbage\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    expect((await world.call('Test.Echo', {})).status).toBe(200);
  });

  test('every call refuses what is not its shape', async () => {
    const names = ['CreateNetwork', 'DeleteNetwork', 'CreateEndpoint', 'DeleteEndpoint', 'EndpointOperInfo', 'Join', 'Leave'];
    const network = [...names, 'ProgramExternalConnectivity', 'RevokeExternalConnectivity'].map(
      (name) => `NetworkDriver.${name}`,
    );
    const ipam = ['RequestPool', 'ReleasePool', 'RequestAddress', 'ReleaseAddress'].map((name) => `IpamDriver.${name}`);
    const bodies = [
      null,
      1,
      '"x"',
      '[]',
      {},
      { NetworkID: 1 },
      { NetworkID: '../../etc', EndpointID: 'x' },
      { PoolID: {}, AddressSpace: [] },
    ];
    for (const name of [...network, ...ipam]) {
      for (const body of bodies) {
        const { status, body: answer } = await world.call(name, body === null || typeof body === 'number' ? String(body) : body);
        expect([status, typeof answer['Err'], answer['Err'] === answer['Error']], `${name} ${JSON.stringify(body)}`).toEqual([
          200,
          'string',
          true,
        ]);
      }
    }
    expect(world.control.said).toEqual([]);
  });
});

test('a connection for this call alone: it closes behind the answer, and what was made stays', async () => {
  goOn();
  expect((await postTo(world.socket, '/Test.Slow', '{}')).body).toEqual({ made: true });
  await world.call('Test.Echo', {});
  expect(done).toEqual(['made']);
});

describe('calls nobody waits for', () => {
  test('the connection breaks in the middle: what was made is unmade', async () => {
    await world.breakDuring('Test.Slow', {}, begun);
    goOn();
    // Waits for its turn behind the other one.
    await world.call('Test.Echo', {});
    expect(done).toEqual(['made', 'unmade']);
  });

  const shortDeadline = async () => {
    await world.stop();
    world.deadline = 300;
    await world.start();
  };

  test('the deadline passes: an error at once, and what was made is unmade when it ends', async () => {
    await shortDeadline();
    const { body } = await world.call('Test.Slow', {});
    expect(body['Err']).toContain('did not finish within 0.3 s');
    expect(done).toEqual(['made']);
    goOn();
    await world.call('Test.Echo', {});
    expect(done).toEqual(['made', 'unmade']);
  });

  test('one that waited too long behind another is never begun', async () => {
    await shortDeadline();
    const first = world.call('Test.Slow', {});
    await begun;
    const second = await world.call('Test.Fail', {});
    expect(second.body['Err']).toContain('did not finish');
    await first;
    goOn();
    await world.call('Test.Echo', {});
    expect(done).toEqual(['made', 'unmade']);
  });
});

test('calls come one after the other, on many connections', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => world.call('Test.Echo', { index })));
  expect(answers.map(({ body }) => body['body'])).toEqual(Array.from({ length: 50 }, (_, index) => ({ index })));
});
