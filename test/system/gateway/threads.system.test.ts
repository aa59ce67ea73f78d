/** Two engine threads: the kernel deals the containers' flows to both, and one of them routes all. */
import { expect, test } from 'vitest';
import { GATEWAY_BRIDGE } from '../../../src/lab/gateway-driver.js';
import { ADDRESS, askTcp, askUdp, describeGateways, udpServer } from '../../helpers/gateway.js';

const FLOWS = 64;
/** Theirs inside. */
const FIRST_PORT = 20_000;
const CONNECTIONS = 16;
const STREAM_BYTES = 8_000_003;
const OUTER = 8080;
const INNER = 80;

describeGateways(
  'two engine threads',
  { checksums: 'checked', daemonOptions: ['--threads', '2'] },
  (lab) => {
    const counters = async () => (await lab().tapbridge.client.counters(GATEWAY_BRIDGE)).gateway;

    test('N20: UDP flows to the outside, some of which begin in the thread that does not route', async () => {
      const { c1, far } = lab();
      const server = await udpServer(far);
      const to = { address: ADDRESS.far, port: server.port };
      for (let flow = 0; flow < FLOWS; flow++) {
        const text = `question ${flow}`;
        // A port of its own each: of those the kernel chooses two would be the same once in fourteen runs.
        const { socket } = await c1.request('udp-open', { port: FIRST_PORT + flow });
        const { question, answer } = await askUdp(c1, to, { host: far, socket: server.socket }, { text, socket });
        await c1.request('shut', { socket });
        expect(question).toMatchObject({ text, address: ADDRESS.host });
        expect(answer?.text).toBe(`answer to ${text}`);
      }
      await far.request('shut', { socket: server.socket });
      const { handed_over: handedOver, handover_lost: lost, flows_opened: opened } = await counters();
      // A thread by hash for each flow: that all 64 begin in the same one has a chance of 2 in 2^64.
      expect(handedOver).toBeGreaterThan(0);
      expect(handedOver).toBeLessThan(FLOWS);
      expect(lost).toBe(0);
      expect(opened).toBeGreaterThanOrEqual(FLOWS);
    });

    test('N20: TCP connections to the outside, and streams both ways at once', async () => {
      const { c1, c2, far } = lab();
      const listener = await far.request('tcp-listen', {});
      for (let connection = 0; connection < CONNECTIONS; connection++) {
        const to = { address: ADDRESS.far, port: listener.port };
        expect((await askTcp(c1, to, { host: far, socket: listener.socket })).address).toBe(ADDRESS.host);
      }
      await far.request('shut', { socket: listener.socket });
      const served = await far.tcpServe();
      const sent = c1.tcpSend({ address: ADDRESS.far, port: served.port, bytes: STREAM_BYTES });
      const received = await c2.tcpServe();
      await lab().publish({ protocol: 'tcp', hostPort: received.port, container: c2 });
      const back = far.tcpSend({ address: ADDRESS.host, port: received.port, bytes: STREAM_BYTES });
      expect(await served.result()).toMatchObject({ bytes: STREAM_BYTES, intact: true });
      expect(await received.result()).toMatchObject({ bytes: STREAM_BYTES, intact: true });
      await Promise.all([sent, back]);
      await lab().unpublish({ protocol: 'tcp', hostPort: received.port, container: c2 });
    });

    test('N22: published ports, TCP and UDP: the server sees the real client', async () => {
      const { c1, far, other } = lab();
      const listener = await c1.request('tcp-listen', { port: INNER });
      const server = await udpServer(c1, INNER);
      for (const protocol of ['tcp', 'udp'] as const) {
        await lab().publish({ protocol, hostPort: OUTER, container: c1, port: INNER });
      }
      const to = { address: ADDRESS.host, port: OUTER };
      for (const [client, address] of [
        [far, ADDRESS.far],
        [other, ADDRESS.other],
      ] as const) {
        for (let turn = 0; turn < CONNECTIONS; turn++) {
          expect((await askTcp(client, to, { host: c1, socket: listener.socket })).address).toBe(address);
          const { question, answer } = await askUdp(client, to, { host: c1, socket: server.socket });
          expect(question?.address).toBe(address);
          expect(answer).toMatchObject({ address: ADDRESS.host, port: OUTER });
        }
      }
      for (const protocol of ['tcp', 'udp'] as const) {
        await lab().unpublish({ protocol, hostPort: OUTER, container: c1, port: INNER });
      }
    });

    test('N24 and R9: the host and the published port of another container are reached from both threads', async () => {
      const { host, c1, c2 } = lab();
      const own = await udpServer(host, 7000);
      const server = await udpServer(c2, 7001);
      await lab().publish({ protocol: 'udp', hostPort: 7001, container: c2 });
      for (let flow = 0; flow < CONNECTIONS; flow++) {
        const local = await askUdp(c1, { address: ADDRESS.host, port: 7000 }, { host, socket: own.socket });
        expect(local.question?.address).toBe(ADDRESS.c1);
        // Untranslated: a socket of all addresses answers from the one next to the asker.
        expect(local.answer).toMatchObject({ text: 'answer to question', port: 7000 });
        const hairpin = await askUdp(c1, { address: ADDRESS.host, port: 7001 }, { host: c2, socket: server.socket });
        expect(hairpin.answer).toMatchObject({ address: ADDRESS.host, port: 7001 });
      }
      await lab().unpublish({ protocol: 'udp', hostPort: 7001, container: c2 });
    });

    test('nothing was lost between the threads, and a gateway that is closed and opened again goes on', async () => {
      const { c1, far, tapbridge } = lab();
      expect((await counters()).handover_lost).toBe(0);
      expect((await c1.ping({ address: ADDRESS.far, count: 3 })).received).toBe(3);
      await tapbridge.client.changeBridge(GATEWAY_BRIDGE, { uplink: 'none' });
      expect((await c1.ping({ address: ADDRESS.far, count: 1, timeoutMillis: 200 })).received).toBe(0);
      await tapbridge.client.changeBridge(GATEWAY_BRIDGE, { uplink: 'auto' });
      const server = await udpServer(far);
      for (let flow = 0; flow < CONNECTIONS; flow++) {
        const to = { address: ADDRESS.far, port: server.port };
        expect((await askUdp(c1, to, { host: far, socket: server.socket })).answer).not.toBeNull();
      }
      await far.request('shut', { socket: server.socket });
    });
  },
  ['tapbridge'],
);
