/** Ports of the host that lead to containers: N22 to N24, C.2, and the host's own way to its containers. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { INSIDE_SUBNET } from '../../../src/lab/gateway-driver.js';
import type { LabHost } from '../../../src/lab/lab-host.js';
import type { Opened } from '../../../src/lab/sockets.js';
import { addRoute, removeRoute } from '../../../src/netlink/route.js';
import { ADDRESS, askTcp, askUdp, describeGateways, FramePort, udpServer } from '../../helpers/gateway.js';
import { EXPECTED } from './differences.js';

const OUTER = 8080;
const INNER = 80;

describeGateways('published', { checksums: 'checked' }, (lab, driver) => {
  let listener: Opened;
  let udp: Opened;
  const web = () => ({ host: lab().c1, socket: listener.socket });
  const dns = () => ({ host: lab().c1, socket: udp.socket });
  const requests = () =>
    (['tcp', 'udp'] as const).map((protocol) => ({ protocol, hostPort: OUTER, container: lab().c1, port: INNER }));

  beforeEach(async () => {
    const { c1 } = lab();
    listener = await c1.request('tcp-listen', { port: INNER });
    udp = await udpServer(c1, INNER);
    for (const request of requests()) await lab().publish(request);
  });
  afterEach(async () => {
    for (const request of requests()) await lab().unpublish(request);
    for (const { socket } of [listener, udp]) await lab().c1.request('shut', { socket });
  });

  for (const name of ['near', 'far', 'other'] as const) {
    test(`N22: ${name} reaches it, and the server sees the real client`, async () => {
      const to = { address: ADDRESS.host, port: OUTER };
      const seen = await askTcp(lab()[name], to, web());
      expect([seen.address, seen.port]).toEqual([ADDRESS[name], seen.ownPort]);
      const { question, answer } = await askUdp(lab()[name], to, dns());
      expect(question?.address).toBe(ADDRESS[name]);
      expect(answer).toMatchObject({ text: 'answer to question', address: ADDRESS.host, port: OUTER });
    });
  }

  test('N23: what is not published is refused without a word, to a neighbor with a route inside, too', async () => {
    const { near, c2 } = lab();
    const { netlink } = near.namespace;
    const route = { destination: INSIDE_SUBNET, gateway: ADDRESS.host };
    addRoute(netlink, route);
    const listener = await c2.request('tcp-listen', { port: 7000 });
    const server = await udpServer(c2, 7000);
    const eavesdropper = new FramePort(near.namespace);
    for (const address of [ADDRESS.c2, ADDRESS.host]) {
      const to = { address, port: 7000 };
      expect((await askUdp(near, to, { host: c2, socket: server.socket }, { waitMillis: 200 })).question).toBeNull();
    }
    // Neither RST nor 3/3: whether there is a container is not given away.
    await expect(near.request('tcp-open', { address: ADDRESS.c2, port: 7000, timeoutMillis: 300 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    });
    expect((await near.ping({ address: ADDRESS.c2, count: 1, timeoutMillis: 200 })).received).toBe(0);
    expect(eavesdropper.drainSources()).not.toContain(ADDRESS.c2);
    eavesdropper.close();
    removeRoute(netlink, route);
    for (const { socket } of [listener, server]) await c2.request('shut', { socket });
  });

  test('N24: another container reaches it by the address of the host', async () => {
    const { hairpinSource } = EXPECTED[driver];
    const to = { address: ADDRESS.host, port: OUTER };
    expect((await askTcp(lab().c2, to, web())).address).toBe(hairpinSource);
    const { question, answer } = await askUdp(lab().c2, to, dns());
    expect(question?.address).toBe(hairpinSource);
    expect(answer).toMatchObject({ address: ADDRESS.host, port: OUTER });
  });

  test('N24: the container reaches itself by the address of the host', async () => {
    const { hairpinSource } = EXPECTED[driver];
    const to = { address: ADDRESS.host, port: OUTER };
    expect((await askTcp(lab().c1, to, web())).address).toBe(hairpinSource);
    const { question, answer } = await askUdp(lab().c1, to, dns());
    expect(question?.address).toBe(hairpinSource);
    expect(answer).toMatchObject({ address: ADDRESS.host, port: OUTER });
  });

  for (const [where, address] of [
    ["by the uplink's address", ADDRESS.host],
    ["by the gateway's address", ADDRESS.gateway],
    ['by 127.0.0.1', '127.0.0.1'],
  ] as const) {
    test(`the host reaches it ${where}`, async () => {
      await askTcp(lab().host, { address, port: OUTER }, web());
      const { answer } = await askUdp(lab().host, { address, port: OUTER }, dns());
      expect(answer).toMatchObject({ text: 'answer to question', address, port: OUTER });
    });
  }

  test('host and containers reach each other, every byte arrives', async () => {
    const { host, c2 } = lab();
    const pairs: [LabHost, LabHost, string][] = [
      [host, c2, ADDRESS.c2],
      [c2, host, ADDRESS.gateway],
      [c2, host, ADDRESS.host],
    ];
    for (const [from, to, address] of pairs) {
      expect((await from.ping({ address, count: 2 })).received).toBe(2);
      const served = await to.tcpServe();
      const sent = from.tcpSend({ address, port: served.port, bytes: 2_000_003 });
      expect(await served.result()).toMatchObject({ bytes: 2_000_003, intact: true });
      await sent;
    }
  });

  test('a container that asks a service of the host is seen by its own address', async () => {
    const { host, c2 } = lab();
    const service = await udpServer(host, 5300);
    for (const address of [ADDRESS.gateway, ADDRESS.host]) {
      const { question, answer } = await askUdp(c2, { address, port: 5300 }, { host, socket: service.socket });
      expect(question?.address).toBe(ADDRESS.c2);
      expect(answer?.text).toBe('answer to question');
    }
    await host.request('shut', { socket: service.socket });
  });

  test('a published port leaves the container its own way out', async () => {
    const { c1, far } = lab();
    const server = await udpServer(far, 5000);
    const { question, answer } = await askUdp(c1, { address: ADDRESS.far, port: 5000 }, { host: far, socket: server.socket });
    expect(question?.address).toBe(ADDRESS.host);
    expect(answer?.text).toBe('answer to question');
    await far.request('shut', { socket: server.socket });
  });

  test('D.5: a flow of a port that is published no more', async () => {
    const { c1, far } = lab();
    const request = { protocol: 'udp', hostPort: 8181, container: c1, port: INNER } as const;
    await lab().publish(request);
    const to = { address: ADDRESS.host, port: 8181 };
    const { socket } = await far.request('udp-open', {});
    expect((await askUdp(far, to, dns(), { socket })).answer).not.toBeNull();
    await lab().unpublish(request);
    const after = await askUdp(far, to, dns(), { socket, waitMillis: 300 });
    expect(after.question === null).toBe(EXPECTED[driver].unpublishEndsFlows);
    await far.request('shut', { socket });
  });

  test('N22: a range keeps the distance of its ports, and its edges', async () => {
    const { c1, far } = lab();
    const range = { protocol: 'udp', hostPort: 9000, hostPortEnd: 9099, container: c1, port: 6000 } as const;
    await lab().publish(range);
    for (const [outer, inner] of [
      [9000, 6000],
      [9042, 6042],
      [9099, 6099],
    ]) {
      const server = await udpServer(c1, inner);
      const { question, answer } = await askUdp(far, { address: ADDRESS.host, port: outer }, { host: c1, socket: server.socket });
      expect([question?.address, answer?.port]).toEqual([ADDRESS.far, outer]);
      await c1.request('shut', { socket: server.socket });
    }
    const beyond = await udpServer(c1, 6100);
    const to = { address: ADDRESS.host, port: 9100 };
    expect((await askUdp(far, to, { host: c1, socket: beyond.socket }, { waitMillis: 300 })).question).toBeNull();
    await c1.request('shut', { socket: beyond.socket });
    await lab().unpublish(range);
  });
});
