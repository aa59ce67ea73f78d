/** Every route of the API against a running daemon: its answer is what the OpenAPI document says. */
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROUTES } from '../../src/daemon/app.js';
import { ErrorBody } from '../../src/daemon/schemas.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';

interface Answer {
  status: number;
  type: string;
  text: string;
}

/** What the tests use of a described answer. */
type Described = Record<string, { content?: Record<string, { schema: { parse?: (value: unknown) => unknown } }> }>;

function linesOf(text: string): unknown[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

describeSystem('api: every route', ['root', 'tap'], () => {
  let lab: Lab;
  let daemon: TestDaemon;
  let a: LabHost;
  const visited = new Set<string>();

  beforeAll(async () => {
    lab = Lab.create('tbapi');
    [daemon, a] = await Promise.all([TestDaemon.start(lab, lab.namespace('host')), lab.host('a')]);
  });
  afterAll(async () => {
    await daemon.close();
    await lab.close();
  });

  function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    const type: Record<string, string> = text === undefined ? {} : { 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      const sent = request(
        { socketPath: daemon.socket, method, path, agent: false, headers: { ...type, ...headers } },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk) => chunks.push(chunk));
          answer.on('end', () =>
            resolve({
              status: answer.statusCode ?? 0,
              type: answer.headers['content-type'] ?? '',
              text: Buffer.concat(chunks).toString('latin1'),
            }),
          );
          answer.on('error', reject);
        },
      );
      sent.on('error', reject);
      sent.end(text);
    });
  }

  /** Calls a route and checks the answer by its description. */
  async function call(name: string, path: string, status: number, body?: unknown): Promise<unknown> {
    const route = (ROUTES as Record<string, { method: string; responses: unknown }>)[name] as {
      method: string;
      responses: unknown;
    };
    const answer = await send(route.method.toUpperCase(), path, body);
    expect(answer.status, `${name}: ${answer.text}`).toBe(status);
    const content = (route.responses as Described)[String(status)]?.content;
    visited.add(name);
    if (content === undefined) {
      expect(answer.text).toBe('');
      return undefined;
    }
    const [type, { schema }] = Object.entries(content)[0];
    expect(answer.type).toContain(type);
    if (type === 'application/x-ndjson') return linesOf(answer.text).map((line) => schema.parse?.(line));
    if (type.startsWith('text/')) return answer.text;
    return schema.parse === undefined ? answer.text : schema.parse(JSON.parse(answer.text));
  }

  test('each answers as described', async () => {
    const tb0 = '/v1/bridges/tb0';
    const mac = '02:00:00:00:00:44';
    await call('health', '/healthz', 200);
    await call('version', '/version', 200);
    expect(await call('metrics', '/metrics', 200)).toContain('tapbridge_info{');
    await call('create', '/v1/bridges', 201, { name: 'tb0', subnet: '198.18.0.0/24' });
    await call('list', '/v1/bridges', 200);
    await call('get', tb0, 200);
    expect(await call('change', tb0, 200, { ageingSeconds: 60, arpProxy: false })).toMatchObject({
      ageingSeconds: 60,
      arpProxy: false,
    });
    await call('portAttach', `${tb0}/ports`, 201, { port: 'a', netns: a.netnsPath, ip: 'auto' });
    await call('portList', `${tb0}/ports`, 200);
    await call('portGet', `${tb0}/ports/a`, 200);
    expect(await call('portChange', `${tb0}/ports/a`, 200, { flags: { isolated: true }, faults: { loss: 0.5 } })).toMatchObject({
      flags: { isolated: true, learning: true },
      faults: { loss: 0.5, seed: 1 },
    });
    await call('addFdb', `${tb0}/fdb`, 204, { mac, port: 'a', vlan: 7 });
    expect(await call('listFdb', `${tb0}/fdb`, 200)).toContainEqual({ mac, port: 'a', vlan: 7, kind: 'static', age: 0 });
    expect(await call('flushFdb', `${tb0}/fdb`, 200)).toEqual({ removed: 0 });
    await call('removeFdb', `${tb0}/fdb/${mac}?vlan=7`, 204);
    await call('addNeighbor', `${tb0}/neighbors`, 204, { ip: '198.18.0.44', mac });
    expect(await call('listNeighbors', `${tb0}/neighbors`, 200)).toContainEqual(
      expect.objectContaining({ ip: '198.18.0.44', mac, port: null }),
    );
    await call('removeNeighbor', `${tb0}/neighbors/198.18.0.44`, 204);
    const publish = { hostPort: 8080, hostPortEnd: 8089, port: 80, portName: 'a' };
    expect(await call('publish', `${tb0}/publishes`, 201, publish)).toMatchObject({
      protocol: 'tcp',
      hostAddress: null,
      listening: true,
    });
    expect(await call('listPublishes', `${tb0}/publishes`, 200)).toEqual([expect.objectContaining(publish)]);
    await call('unpublish', `${tb0}/publishes?hostPort=8080&hostPortEnd=8089`, 204);
    expect(await call('listFlows', `${tb0}/flows?protocol=tcp`, 200)).toEqual([]);
    expect(await call('flushFlows', `${tb0}/flows`, 200)).toEqual({ ended: 0 });
    const watch = await daemon.client.watchFlows('tb0');
    visited.add('watchFlows');
    watch.close();
    expect(await call('listUplinks', '/v1/uplinks', 200)).toEqual([]);
    expect(await call('gateway', '/v1/gateway', 200)).toMatchObject({ flows: 0, filter: 'apdf' });
    await call('counters', `${tb0}/counters`, 200);
    expect((await call('capture', `${tb0}/capture?duration=0.2`, 200)) as string).toMatch(/^\n\r\r\n/);
    const running = daemon.client.capture('tb0');
    const capture = await running;
    await call('end', '/v1/captures/1', 204);
    let bytes = 0;
    for await (const chunk of capture) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(0);
    const ofPort = await daemon.client.capture('tb0', { port: 'a' });
    await call('portDetach', `${tb0}/ports/a`, 204);
    // It ends with its port, in order.
    const before = bytes;
    for await (const chunk of ofPort) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(before);
    await call('remove', tb0, 204);
    expect([...visited].sort()).toEqual(Object.keys(ROUTES).sort());
  });

  test('errors have one form, whatever is wrong', async () => {
    const cases: [string, string, unknown, number, string][] = [
      ['GET', '/v1/bridges/none', undefined, 404, 'not-found'],
      ['GET', '/nowhere', undefined, 404, 'not-found'],
      ['PUT', '/v1/bridges', {}, 404, 'not-found'],
      ['POST', '/v1/bridges', undefined, 400, 'invalid'],
      ['POST', '/v1/bridges', '{', 400, 'invalid'],
      ['POST', '/v1/bridges', {}, 400, 'invalid'],
      ['POST', '/v1/bridges', { name: 'tb1', colour: 'red' }, 400, 'invalid'],
      ['POST', '/v1/bridges', { name: 'tb1', mtu: '1500' }, 400, 'invalid'],
      ['POST', '/v1/bridges', { name: 'x'.repeat(70_000) }, 400, 'invalid'],
      ['GET', '/v1/bridges?verbose=1', undefined, 400, 'invalid'],
      ['GET', '/v1/bridges/none/capture?count=0', undefined, 400, 'invalid'],
      ['POST', '/v1/bridges', { name: 'tb1', uplink: 'eth0' }, 400, 'invalid'],
      ['POST', '/v1/bridges', { name: 'tb1', subnet: '198.18.9.0/24', uplink: 'nope' }, 404, 'not-found'],
      ['POST', '/v1/bridges', { name: 'tb1', subnet: '198.18.9.0/24', egressAddress: 'here' }, 400, 'invalid'],
      [
        'POST',
        '/v1/bridges',
        { name: 'tb1', subnet: '198.18.9.0/24', rules: [{ action: 'deny', remote: 'all' }] },
        400,
        'invalid',
      ],
      ['GET', '/v1/bridges/none/flows', undefined, 404, 'not-found'],
      ['GET', '/v1/bridges/none/flows/watch', undefined, 404, 'not-found'],
      ['GET', '/v1/bridges/none/flows?port=x', undefined, 400, 'invalid'],
      ['DELETE', '/v1/bridges/none/publishes?hostPort=80', undefined, 404, 'not-found'],
      ['DELETE', '/v1/bridges/none/publishes', undefined, 400, 'invalid'],
      ['DELETE', '/v1/captures/9', undefined, 404, 'not-found'],
      ['DELETE', '/v1/captures/x', undefined, 400, 'invalid'],
    ];
    for (const [method, path, body, status, code] of cases) {
      const answer = await send(method, path, body);
      expect({ path, status: answer.status }, answer.text).toEqual({ path, status });
      expect(ErrorBody.parse(JSON.parse(answer.text)).error.code).toBe(code);
    }
    expect(await daemon.client.listBridges()).toEqual([]);
  });

  test('the document it serves is the committed one', async () => {
    const answer = await send('GET', '/openapi.json');
    const { readFileSync } = await import('node:fs');
    expect(JSON.parse(answer.text)).toEqual(
      JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8')),
    );
  });

  test('changes at one time: each is whole, names are given once', async () => {
    const create = () => daemon.client.createBridge({ name: 'tb5', subnet: '198.18.5.0/24' });
    const results = await Promise.allSettled([create(), create(), create()]);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const attach = (number: number) =>
      daemon.client.attach('tb5', { port: `p${number}`, netns: a.netnsPath, ifname: `eth${number}`, ip: 'auto' });
    const ports = await Promise.all([attach(1), attach(2), attach(3), attach(4)]);
    expect(new Set(ports.map(({ ip }) => ip)).size).toBe(4);
    await daemon.client.removeBridge('tb5');
    expect(a.namespace.interfaces().map(({ name }) => name)).toEqual(['lo']);
  });
});
