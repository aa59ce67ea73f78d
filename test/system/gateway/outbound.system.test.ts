/** Containers reach the outside: N20, R11, N10, N30, with real stacks at both ends. */
import { expect, test } from 'vitest';
import { ADDRESS, askTcp, askUdp, describeGateways, longText, udpServer } from '../../helpers/gateway.js';

const PORT = 5000;
const STREAM_BYTES = 8_000_003;

for (const checksums of ['offloaded', 'checked'] as const) {
  describeGateways(`outbound, checksums ${checksums}`, { checksums }, (lab) => {
    for (const name of ['near', 'far', 'other'] as const) {
      test(`N20: ping, UDP and TCP to ${name}, which sees the uplink's address`, async () => {
        const { c1, [name]: outside } = lab();
        const address = ADDRESS[name];
        expect((await c1.ping({ address, count: 3 })).received).toBe(3);

        const udp = await udpServer(outside, PORT);
        const { question, answer } = await askUdp(c1, { address, port: PORT }, { host: outside, socket: udp.socket });
        expect(question).toMatchObject({ text: 'question', address: ADDRESS.host });
        expect(answer).toMatchObject({ text: 'answer to question', address, port: PORT });
        await outside.request('shut', { socket: udp.socket });

        const listener = await outside.request('tcp-listen', { port: PORT });
        const seen = await askTcp(c1, { address, port: PORT }, { host: outside, socket: listener.socket });
        expect(seen.address).toBe(ADDRESS.host);
        await outside.request('shut', { socket: listener.socket });
      });
    }

    test('E.4: a stream each way arrives as it was sent', async () => {
      const { c1, c2, far } = lab();
      const served = await far.tcpServe();
      const sent = c1.tcpSend({ address: ADDRESS.far, port: served.port, bytes: STREAM_BYTES });
      expect(await served.result()).toMatchObject({ bytes: STREAM_BYTES, intact: true });
      await sent;
      await far.request('traffic-tcp-listen', { port: 5001 });
      const [out, back] = await Promise.all([
        far.request('traffic-tcp-send', { port: 5001, durationMillis: 0, bytes: STREAM_BYTES }),
        c2.request('traffic-tcp-receive', { address: ADDRESS.far, port: 5001, checkAll: true, idleMillis: 5000 }),
      ]);
      expect([back.bytes, back.streams[0].wrongAt]).toEqual([out.bytes, -1]);
    });

    test('E.4: datagrams of every length around a word, and of 1,472 bytes', async () => {
      const { c1, far } = lab();
      const server = await udpServer(far, PORT);
      const { socket } = await c1.request('udp-open', {});
      for (const bytes of [1, 2, 3, 4, 17, 18, 1471, 1472]) {
        const text = longText(bytes, bytes);
        const { question, answer } = await askUdp(
          c1,
          { address: ADDRESS.far, port: PORT },
          { host: far, socket: server.socket },
          { text, socket },
        );
        expect([question?.text, answer?.text]).toEqual([text, `answer to ${text}`]);
      }
      for (const [host, opened] of [
        [c1, socket],
        [far, server.socket],
      ] as const)
        await host.request('shut', { socket: opened });
    });

    test('N10: the port of a socket is kept when it is free', async () => {
      const { c1, far } = lab();
      const listener = await far.request('tcp-listen', { port: PORT });
      const seen = await askTcp(
        c1,
        { address: ADDRESS.far, port: PORT, localPort: 23_456 },
        { host: far, socket: listener.socket },
      );
      expect(seen).toMatchObject({ address: ADDRESS.host, port: 23_456 });
      await far.request('shut', { socket: listener.socket });
    });

    test('a closed port outside refuses: RST and 3/3 come back through the translation', async () => {
      const { c1 } = lab();
      await expect(c1.request('tcp-open', { address: ADDRESS.far, port: 9 })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      const { socket } = await c1.request('udp-open', { connect: { address: ADDRESS.far, port: 9 } });
      await c1.request('say', { socket, text: 'anybody?' });
      expect(await c1.request('hear', { socket })).toMatchObject({ error: 'ECONNREFUSED' });
      await c1.request('shut', { socket });
    });

    test('40 sockets at once: each datagram is answered to whom it came from', async () => {
      const { c1, far } = lab();
      const server = await far.udpServe();
      const sent = await Promise.all(
        Array.from({ length: 40 }, () => c1.udpSend({ address: ADDRESS.far, port: server.port, count: 3, payload: 200 })),
      );
      expect(sent.filter(({ answered }) => answered !== 3)).toEqual([]);
    });
  });
}
