/** Which outer port a socket gets, and who else has it: N3, N4, N10, N60, E.5, with real stacks. */
import { expect, test } from 'vitest';
import type { LabHost } from '../../../src/lab/lab-host.js';
import { ADDRESS, askTcp, askUdp, describeGateways, longText, stackCounters, udpServer } from '../../helpers/gateway.js';

const SHARED = 24_680;

describeGateways('mappings', { checksums: 'checked' }, (lab) => {
  async function servers() {
    const { near, far, other } = lab();
    return Promise.all(
      ([near, far, other] as const).map(async (host) => {
        const { socket, port } = await udpServer(host);
        return { host, socket, to: { address: ADDRESS[host.name as 'near' | 'far' | 'other'], port } };
      }),
    );
  }

  async function shutAll(opened: readonly { host: LabHost; socket: number }[]): Promise<void> {
    for (const { host, socket } of opened) await host.request('shut', { socket });
  }

  test('RFC 4787 REQ-1: one socket, three remotes, one outer port', async () => {
    const { c1 } = lab();
    const all = await servers();
    const { socket } = await c1.request('udp-open', {});
    const seen = [];
    for (const server of all) seen.push((await askUdp(c1, server.to, server, { socket })).question);
    const port = seen[0]?.port;
    expect(port).toBeGreaterThan(0);
    expect(seen).toMatchObject(all.map(() => ({ address: ADDRESS.host, port })));
    await shutAll([...all, { host: c1, socket }]);
  });

  test('RFC 4787 REQ-3, REQ-11: two containers, one source port, one remote: two outer ports, each answer to the right one', async () => {
    const { c1, c2 } = lab();
    const all = await servers();
    const first = await c1.request('udp-open', { port: SHARED });
    const second = await c2.request('udp-open', { port: SHARED });
    const server = all[1];
    const one = await askUdp(c1, server.to, server, { socket: first.socket, text: 'one' });
    const two = await askUdp(c2, server.to, server, { socket: second.socket, text: 'two' });
    expect(one.question?.port).toBe(SHARED);
    expect(two.question?.port).not.toBe(SHARED);
    expect([one.answer?.text, two.answer?.text]).toEqual(['answer to one', 'answer to two']);
    // The second one's mapping to another remote, where nothing collides.
    const elsewhere = await askUdp(c2, all[2].to, all[2], { socket: second.socket });
    expect(elsewhere.question?.port).toBe(two.question?.port);
    await shutAll([...all, { host: c1, socket: first.socket }, { host: c2, socket: second.socket }]);
  });

  test('RFC 5382 REQ-7: the same over TCP', async () => {
    const { c1, c2, far } = lab();
    const listener = await far.request('tcp-listen', {});
    const to = { address: ADDRESS.far, port: listener.port, localPort: SHARED };
    const held = await c1.request('tcp-open', to);
    const accepted = await far.request('tcp-accept', { socket: listener.socket });
    const seen = await askTcp(c2, to, { host: far, socket: listener.socket });
    expect([accepted?.port, accepted?.address]).toEqual([SHARED, ADDRESS.host]);
    expect(seen.port).not.toBe(SHARED);
    await c1.request('say', { socket: held.socket, text: 'still here' });
    expect((await far.request('hear', { socket: accepted?.socket ?? 0 }))?.text).toBe('still here');
    await c1.request('shut', { socket: held.socket });
    await far.request('shut', { socket: listener.socket });
  });

  test('RFC 5508 REQ-1: echoes of both containers at once', async () => {
    const { c1, c2 } = lab();
    const options = { address: ADDRESS.far, count: 200 };
    const [one, two] = await Promise.all([c1.ping(options), c2.ping(options)]);
    expect([one.received, two.received]).toEqual([200, 200]);
  });

  test("N60: the host's own conversations with the same peer are left alone", async () => {
    const { host, c1, far } = lab();
    const listener = await far.request('tcp-listen', {});
    const server = { host: far, socket: listener.socket };
    const to = { address: ADDRESS.far, port: listener.port };
    const own = await host.request('tcp-open', to);
    const ownAccepted = await far.request('tcp-accept', { socket: listener.socket });
    for (let round = 0; round < 20; round++) {
      expect((await askTcp(c1, to, server)).address).toBe(ADDRESS.host);
      await host.request('say', { socket: own.socket, text: `round ${round}` });
      expect((await far.request('hear', { socket: ownAccepted?.socket ?? 0 }))?.text).toBe(`round ${round}`);
    }
    const [fromHost, fromContainer] = await Promise.all([
      host.ping({ address: ADDRESS.far, count: 100 }),
      c1.ping({ address: ADDRESS.far, count: 100 }),
    ]);
    expect(fromContainer.received).toBe(100);
    expect(fromHost.received).toBe(100);
    const udp = await udpServer(far);
    const toUdp = { address: ADDRESS.far, port: udp.port };
    const hostSocket = await host.request('udp-open', {});
    for (let round = 0; round < 10; round++) {
      const inner = await askUdp(c1, toUdp, { host: far, socket: udp.socket }, { text: 'inner' });
      const outer = await askUdp(host, toUdp, { host: far, socket: udp.socket }, { text: 'own', socket: hostSocket.socket });
      expect([inner.answer?.text, outer.answer?.text]).toEqual(['answer to inner', 'answer to own']);
      expect(outer.question?.port).toBe(hostSocket.port);
    }
    await host.request('shut', { socket: own.socket });
    await host.request('shut', { socket: hostSocket.socket });
    for (const { socket } of [listener, udp]) await far.request('shut', { socket });
  });

  test("N60: the host's stack hears nothing of translated flows, and resets none", async () => {
    const { host, c1, far } = lab();
    const before = stackCounters(host);
    const served = await far.tcpServe();
    const sent = c1.tcpSend({ address: ADDRESS.far, port: served.port, bytes: 4_000_003 });
    expect(await served.result()).toMatchObject({ intact: true });
    await sent;
    const echo = await far.udpServe();
    expect(await c1.udpSend({ address: ADDRESS.far, port: echo.port, count: 50, payload: 100 })).toEqual({
      sent: 50,
      answered: 50,
    });
    const after = stackCounters(host);
    expect([after['Tcp.OutRsts'] - before['Tcp.OutRsts'], after['Udp.NoPorts'] - before['Udp.NoPorts']]).toEqual([0, 0]);
  });

  for (const [way, bytes] of [
    ['out', 8000],
    ['in', 8000],
    ['out', 40_000],
    ['in', 40_000],
  ] as const) {
    test(`N40: a datagram of ${bytes} bytes in fragments, ${way}, and its answer`, async () => {
      const { c1, far } = lab();
      const text = longText(bytes, bytes);
      if (way === 'out') {
        const server = await udpServer(far);
        const { question, answer } = await askUdp(
          c1,
          { address: ADDRESS.far, port: server.port },
          { host: far, socket: server.socket },
          { text },
        );
        expect([question?.text === text, answer?.text === `answer to ${text}`]).toEqual([true, true]);
        await far.request('shut', { socket: server.socket });
        return;
      }
      const request = { protocol: 'udp', hostPort: 8500, container: c1 } as const;
      await lab().publish(request);
      const server = await udpServer(c1, 8500);
      const { question, answer } = await askUdp(
        far,
        { address: ADDRESS.host, port: 8500 },
        { host: c1, socket: server.socket },
        { text },
      );
      expect([question?.text === text, answer?.text === `answer to ${text}`, question?.address]).toEqual([
        true,
        true,
        ADDRESS.far,
      ]);
      await c1.request('shut', { socket: server.socket });
      await lab().unpublish(request);
    });
  }
});
