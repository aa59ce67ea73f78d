/** What is left of the gateway when its daemon ends, by itself or killed, and what goes on when it is back: the guard, connections. */
import { expect, test } from 'vitest';
import { eventually } from '../../helpers/daemon.js';
import { ADDRESS, askUdp, describeGateways, udpServer } from '../../helpers/gateway.js';

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  describeGateways(
    `the daemon ended by ${signal}`,
    {},
    (lab) => {
      test("N60: what the guard kept from the host's stack reaches it again", async () => {
        const { host, c1, far, tapbridge } = lab();
        const server = await udpServer(far);
        const { socket } = await c1.request('udp-open', {});
        const to = { address: ADDRESS.far, port: server.port };
        const { question } = await askUdp(c1, to, { host: far, socket: server.socket }, { socket });
        const port = question?.port ?? 0;
        expect(port).toBeGreaterThan(0);

        const own = await host.request('udp-open', { port });
        const toHost = { address: ADDRESS.host, port };
        await far.request('say', { socket: server.socket, text: 'to the container', ...toHost });
        expect(await host.request('hear', { socket: own.socket, timeoutMillis: 200 })).toBeNull();
        expect((await c1.request('hear', { socket }))?.text).toBe('to the container');

        await tapbridge.endDaemon(signal);
        if (signal === 'SIGKILL') {
          // It is the container's still, and the next daemon hands it on.
          await far.request('say', { socket: server.socket, text: 'lost', ...toHost });
          expect(await host.request('hear', { socket: own.socket, timeoutMillis: 200 })).toBeNull();
          await tapbridge.startDaemon();
          await far.request('say', { socket: server.socket, text: 'to the container again', ...toHost });
          expect((await c1.request('hear', { socket }))?.text).toBe('to the container again');
          await tapbridge.endDaemon('SIGTERM');
        }
        await far.request('say', { socket: server.socket, text: 'to the host', ...toHost });
        expect((await host.request('hear', { socket: own.socket }))?.text).toBe('to the host');
        await host.request('shut', { socket: own.socket });
        await c1.request('shut', { socket });
        await far.request('shut', { socket: server.socket });
      });
    },
    ['tapbridge'],
  );
}

describeGateways(
  'the daemon killed and started again',
  {},
  (lab) => {
    test('connections go on, out and in', async () => {
      const { c1, far, tapbridge } = lab();
      await lab().publish({ protocol: 'tcp', hostPort: 8700, container: c1 });
      const outer = await far.request('tcp-listen', {});
      const inner = await c1.request('tcp-listen', { port: 8700 });
      const out = await c1.request('tcp-open', { address: ADDRESS.far, port: outer.port });
      const outAccepted = await far.request('tcp-accept', { socket: outer.socket });
      const back = await far.request('tcp-open', { address: ADDRESS.host, port: 8700 });
      const backAccepted = await c1.request('tcp-accept', { socket: inner.socket });

      await tapbridge.endDaemon('SIGKILL');
      await tapbridge.startDaemon();
      const reaches = async () =>
        (await c1.ping({ address: ADDRESS.far, count: 1, timeoutMillis: 200 }).catch(() => ({ received: 0 }))).received === 1;
      expect(await eventually(reaches)).toBe(true);

      await c1.request('say', { socket: out.socket, text: 'out' });
      expect((await far.request('hear', { socket: outAccepted?.socket ?? 0, timeoutMillis: 5000 }))?.text).toBe('out');
      await far.request('say', { socket: outAccepted?.socket ?? 0, text: 'answer' });
      expect((await c1.request('hear', { socket: out.socket }))?.text).toBe('answer');
      await far.request('say', { socket: back.socket, text: 'in' });
      expect((await c1.request('hear', { socket: backAccepted?.socket ?? 0, timeoutMillis: 5000 }))?.text).toBe('in');
    });
  },
  ['tapbridge'],
);
