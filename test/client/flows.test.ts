/** The client's long answers over a socket: pages, ends, breaks. */
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Client } from '../../src/client/client.js';
import { jsonLines } from '../../src/client/json-lines.js';
import type { FlowEvent } from '../../src/control/model.js';
import { FakeControl, madeFlow } from '../helpers/fake-control.js';
import { FakeServer } from '../helpers/fake-server.js';

describe('lines of JSON', () => {
  async function all(chunks: (string | Buffer)[]): Promise<unknown[]> {
    const values: unknown[] = [];
    for await (const page of jsonLines(Readable.from(chunks.map((chunk) => Buffer.from(chunk))))) values.push(...page);
    return values;
  }

  test('cut anywhere, also within a character', async () => {
    const bytes = Buffer.from('{"a":"ü"}\n{"b":2}\n\n3\n');
    for (let at = 0; at <= bytes.length; at++) {
      expect(await all([bytes.subarray(0, at), bytes.subarray(at)])).toEqual([{ a: 'ü' }, { b: 2 }, 3]);
    }
  });

  test('a last line without its end counts', async () => {
    expect(await all(['1\n2'])).toEqual([1, 2]);
  });

  test('what is no JSON, and a line without end, are errors', async () => {
    await expect(all(['<html>\n'])).rejects.toThrow('is not understood');
    await expect(all(Array.from({ length: 20 }, () => 'x'.repeat(1 << 16)))).rejects.toThrow('a line that does not end');
  });
});

describe('over a socket', () => {
  let server: FakeServer;
  let control: FakeControl;
  let client: Client;

  beforeEach(async () => {
    control = new FakeControl();
    server = await FakeServer.start(control);
    client = new Client(server.path);
  });
  afterEach(() => server.close());

  test('many flows arrive, each once, in order', async () => {
    control.flows = 50_000;
    let next = 0;
    for await (const page of client.listFlows('tb0', { protocol: 'tcp' })) {
      for (const flow of page) expect(flow.original.sourcePort).toBe(madeFlow(next++).original.sourcePort);
    }
    expect(next).toBe(50_000);
    expect(control.queries).toEqual([{ protocol: 'tcp' }]);
  });

  test('a reader that stops stops the daemon, too', async () => {
    control.flows = 262_144;
    for await (const page of client.listFlows('tb0')) {
      expect(page.length).toBeGreaterThan(0);
      break;
    }
    await expect.poll(() => control.ended).toBe(1);
    expect(control.pages).toBeLessThan(64);
  });

  test('a list that breaks off is an error', async () => {
    control.flows = 262_144;
    control.failAfter = 40;
    // The server says so, too.
    const said = vi.spyOn(console, 'error').mockImplementation(() => {});
    const read = async () => {
      for await (const page of client.listFlows('tb0')) expect(page.length).toBeGreaterThan(0);
    };
    await expect(read()).rejects.toThrow('the daemon ended the connection before all was sent');
    said.mockRestore();
  });

  test('no such bridge', async () => {
    await expect(client.listFlows('tb9').next()).rejects.toThrow('no such bridge: tb9');
    await expect(client.watchFlows('tb9')).rejects.toThrow('no such bridge: tb9');
    await expect(client.flushFlows('tb9')).rejects.toThrow('no such bridge: tb9');
  });

  test('a watch runs before anything happens, and ends quietly when it is closed', async () => {
    const watch = await client.watchFlows('tb0', { portName: 'web' });
    expect([control.watches, control.queries]).toEqual([1, [{ portName: 'web' }]]);
    const events: FlowEvent[] = [];
    const reading = (async () => {
      for await (const bunch of watch) events.push(...bunch);
    })();
    control.emit?.([{ event: 'new', flow: madeFlow(1) }]);
    await expect.poll(() => events.length).toBe(1);
    watch.close();
    await reading;
    expect(events).toEqual([{ event: 'new', flow: madeFlow(1) }]);
    await expect.poll(() => control.watches).toBe(0);
  });

  test('a watch whose daemon goes is an error', async () => {
    const watch = await client.watchFlows('tb0');
    const reading = watch[Symbol.asyncIterator]().next();
    server.cutOff();
    await expect(reading).rejects.toThrow('the daemon ended the connection');
  });

  test('publishes: fields that are not there stay away', async () => {
    await client.publish('tb0', { hostPort: 80, port: 80, portName: 'web' });
    await client.unpublish('tb0', { protocol: 'tcp', hostAddress: null, hostPort: 80, hostPortEnd: 80 });
    await client.unpublish('tb0', { hostPort: 80 });
    expect(control.removed).toEqual([{ protocol: 'tcp', hostAddress: null, hostPort: 80, hostPortEnd: 80 }, { hostPort: 80 }]);
    expect(await client.flushFlows('tb0')).toBe(0);
  });
});
