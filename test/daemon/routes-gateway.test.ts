/** The routes of the gateway over a control that is made up: what they let in, and that long answers are pulled, not pushed. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import { beforeEach, describe, expect, test } from 'vitest';
import { SILENT } from '../../src/control/log.js';
import type { FlowEvent } from '../../src/control/model.js';
import { createApp } from '../../src/daemon/app.js';
import { EventLines, MAX_WAITING } from '../../src/daemon/line-stream.js';
import { FakeControl, madeFlow } from '../helpers/fake-control.js';

let control: FakeControl;
let app: OpenAPIHono;
beforeEach(() => {
  control = new FakeControl();
  app = createApp(control.asControl(), SILENT);
});

const FLOWS = '/v1/bridges/tb0/flows';
const PUBLISHES = '/v1/bridges/tb0/publishes';

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const init = body === undefined ? { method } : { method, body: text, headers: { 'content-type': 'application/json' } };
  return app.request(path, init);
}

const decoder = new TextDecoder();

async function linesOf(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<unknown[]> {
  const { value } = await reader.read();
  return decoder
    .decode(value)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('publishes', () => {
  test('one is made and ended, with all its fields and with few', async () => {
    const full = { protocol: 'udp', hostAddress: '192.0.2.7', hostPort: 53, hostPortEnd: 54, port: 53, portName: 'dns' };
    const answer = await send('POST', PUBLISHES, full);
    expect(answer.status).toBe(201);
    expect(await answer.json()).toMatchObject({ ...full, bridge: 'tb0', listening: true });
    expect((await send('POST', PUBLISHES, { hostPort: 80, port: 80, portName: 'web' })).status).toBe(201);
    expect(control.published).toEqual([full, { hostPort: 80, port: 80, portName: 'web' }]);
    expect((await send('DELETE', `${PUBLISHES}?hostPort=53&hostPortEnd=54&protocol=udp&hostAddress=192.0.2.7`)).status).toBe(204);
    expect((await send('DELETE', `${PUBLISHES}?hostPort=80`)).status).toBe(204);
    expect((await send('DELETE', `${PUBLISHES}?hostPort=80&hostAddress=0.0.0.0`)).status).toBe(204);
    const ended = { hostPort: 53, hostPortEnd: 54, protocol: 'udp', hostAddress: '192.0.2.7' };
    expect(control.removed).toEqual([ended, { hostPort: 80 }, { hostPort: 80, hostAddress: null }]);
  });

  const good = { hostPort: 80, port: 80, portName: 'web' };
  test.each([
    { ...good, hostPort: 0 },
    { ...good, hostPort: 65_536 },
    { ...good, hostPort: 80.5 },
    { ...good, hostPort: '80' },
    { ...good, hostPort: null },
    { ...good, port: -1 },
    { ...good, hostPortEnd: 1e9 },
    { ...good, protocol: 'sctp' },
    { ...good, hostAddress: '' },
    { ...good, hostAddress: 'x'.repeat(65) },
    { ...good, colour: 'red' },
    { ...good, portName: '' },
    { hostPort: 80, port: 80 },
    '{"__proto__":{"hostPort":80},"port":80,"portName":"web"}',
    '[',
    '[]',
    'null',
  ])('%j is refused', async (body) => {
    const answer = await send('POST', PUBLISHES, body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: 'invalid' } });
    expect(control.published).toEqual([]);
  });

  test.each([
    '',
    '?hostPort=',
    '?hostPort=x',
    '?hostPort=0',
    '?hostPort=80&hostPort=81',
    '?hostPort=80&port=80',
    '?hostPort=1e9',
  ])('ending %j is refused', async (query) => {
    expect((await send('DELETE', `${PUBLISHES}${query}`)).status).toBe(400);
    expect(control.removed).toEqual([]);
  });
});

describe('flows', () => {
  test('one a line, with the filters as they were given', async () => {
    control.flows = 3;
    const answer = await send('GET', `${FLOWS}?address=192.0.2.0/24&port=443&protocol=tcp&state=established&portName=web`);
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
    const text = await answer.text();
    expect(
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line)),
    ).toEqual([0, 1, 2].map(madeFlow));
    expect(text.endsWith('\n')).toBe(true);
    const query = { address: '192.0.2.0/24', port: 443, protocol: 'tcp', state: 'established', portName: 'web' };
    expect(control.queries).toEqual([query]);
  });

  test('none is an empty answer', async () => {
    const answer = await send('GET', FLOWS);
    expect([answer.status, await answer.text()]).toEqual([200, '']);
  });

  test.each([
    'protocol=sctp',
    'protocol=1000',
    'port=-1',
    'port=65536',
    'port=x',
    'state=',
    'address=',
    'colour=red',
    'port=1&port=2',
  ])('?%s is refused, for listing, flushing and watching', async (query) => {
    for (const [method, path] of [
      ['GET', FLOWS],
      ['DELETE', FLOWS],
      ['GET', `${FLOWS}/watch`],
    ]) {
      expect((await send(method, `${path}?${query}`)).status).toBe(400);
    }
    expect(control.queries).toEqual([]);
  });

  test('an unknown bridge is a plain answer, not a stream', async () => {
    for (const [method, path] of [
      ['GET', 'flows'],
      ['DELETE', 'flows'],
      ['GET', 'flows/watch'],
    ]) {
      const answer = await send(method, `/v1/bridges/tb9/${path}`);
      expect(answer.status).toBe(404);
      expect(await answer.json()).toEqual({ error: { code: 'not-found', message: 'no such bridge: tb9' } });
    }
  });

  test('a page is only made when the one before was taken; a reader that leaves ends the list', async () => {
    control.flows = 262_144;
    const answer = await send('GET', FLOWS);
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    expect(await linesOf(reader)).toHaveLength(4096);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(control.pages).toBeLessThanOrEqual(2);
    expect(await linesOf(reader)).toHaveLength(4096);
    await reader.cancel();
    expect(control.ended).toBe(1);
    expect(control.pages).toBeLessThanOrEqual(3);
  });

  test('a list that fails half way breaks off: it does not look whole', async () => {
    control.flows = 20_000;
    control.failAfter = 2;
    await expect((await send('GET', FLOWS)).text()).rejects.toThrow('the engine died');
  });

  test('flushing says how many', async () => {
    control.flows = 7;
    const answer = await send('DELETE', `${FLOWS}?portName=web`);
    expect(await answer.json()).toEqual({ ended: 7 });
    expect(control.queries).toEqual([{ portName: 'web' }]);
  });
});

describe('watching', () => {
  const event = (number: number): FlowEvent => ({ event: 'new', flow: madeFlow(number) });

  test('events as they come, until the reader leaves', async () => {
    const answer = await send('GET', `${FLOWS}/watch?protocol=tcp`);
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    const first = linesOf(reader);
    control.emit?.([event(1), event(2)]);
    expect(await first).toEqual([event(1), event(2)]);
    control.emit?.([event(3)]);
    control.emit?.([{ event: 'destroy', reason: 'timeout', flow: madeFlow(3) }]);
    expect(await linesOf(reader)).toEqual([event(3), { event: 'destroy', reason: 'timeout', flow: madeFlow(3) }]);
    expect(control.watches).toBe(1);
    await reader.cancel();
    expect(control.watches).toBe(0);
    control.emit?.([event(4)]);
  });

  test('a reader that is too slow loses what does not fit, and is told how much', async () => {
    const lines = new EventLines();
    const reader = lines.stream.getReader();
    const some = Array.from({ length: 1000 }, (_, number) => event(number));
    for (let times = 0; times < 10; times++) lines.take(some);
    const got = (await linesOf(reader)) as FlowEvent[];
    expect(got).toHaveLength(MAX_WAITING + 1);
    expect(got.at(-1)).toEqual({ event: 'lost', lost: 10_000 - MAX_WAITING });
    lines.take([event(1)]);
    expect(await linesOf(reader)).toEqual([event(1)]);
  });

  test('a source that comes after the reader left is closed at once', async () => {
    const lines = new EventLines();
    await lines.stream.cancel();
    let closed = 0;
    lines.endWith({ close: () => void closed++ });
    expect(closed).toBe(1);
  });
});

describe('settings of a bridge', () => {
  const refused = [
    { uplink: '' },
    { uplink: 'x'.repeat(513) },
    { internal: 'yes' },
    { mssClamp: 'maybe' },
    { egressAddress: '' },
    { rules: [{ action: 'drop' }] },
    { rules: [{ action: 'deny', protocol: 'sctp' }] },
    { rules: [{ action: 'deny', ports: '80,81' }] },
    { rules: [{ action: 'deny', ports: 80 }] },
    { rules: [{ action: 'deny', direction: 'up' }] },
    { rules: [{ action: 'deny', colour: 'red' }] },
    { rules: Array.from({ length: 1025 }, () => ({ action: 'deny' })) },
  ];
  test.each(refused)('%j is refused', async (change) => {
    expect((await send('PATCH', '/v1/bridges/tb0', change)).status).toBe(400);
  });
});
