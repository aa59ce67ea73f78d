/** ICMP errors, made by the gateway and translated by it: R11, R20 to R23, R30 to R32, E.6. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { removeRoute } from '../../../src/netlink/route.js';
import * as icmp from '../../../src/wire/icmp.js';
import { eventually } from '../../helpers/daemon.js';
import { ADDRESS, askUdp, describeGateways, FramePort, longText, udpServer } from '../../helpers/gateway.js';

const { unreachable: UNREACHABLE, timeExceeded: TIME_EXCEEDED } = icmp.Type;

describeGateways('errors', { checksums: 'checked' }, (lab) => {
  let c1Port: FramePort;
  let farPort: FramePort;
  beforeAll(() => {
    c1Port = new FramePort(lab().c1.namespace);
    farPort = new FramePort(lab().far.namespace);
  });
  afterAll(() => {
    c1Port.close();
    farPort.close();
  });

  async function sayWithTtl(ttl: number): Promise<void> {
    c1Port.drain();
    const { c1 } = lab();
    const { socket } = await c1.request('udp-open', { ttl });
    await c1.request('say', { socket, text: 'how far?', address: ADDRESS.far, port: 33_434 });
    await c1.request('shut', { socket });
  }

  test('R11: TTL 1 is exceeded at the gateway', async () => {
    await sayWithTtl(1);
    expect(c1Port.findIcmp(TIME_EXCEEDED)).toMatchObject({
      source: ADDRESS.gateway,
      code: 0,
      intact: true,
      quotedSource: ADDRESS.c1,
    });
  });

  test('E.6: TTL 2 is exceeded at the router, whose error names the container again', async () => {
    await sayWithTtl(2);
    expect(c1Port.findIcmp(TIME_EXCEEDED)).toMatchObject({
      source: ADDRESS.router,
      destination: ADDRESS.c1,
      code: 0,
      intact: true,
      quotedSource: ADDRESS.c1,
      quotedDestination: ADDRESS.far,
    });
  });

  test('E.6: TTL 3 arrives at a closed port; the error comes from there', async () => {
    await sayWithTtl(3);
    expect(c1Port.findIcmp(UNREACHABLE)).toMatchObject({
      source: ADDRESS.far,
      code: icmp.Unreachable.port,
      intact: true,
      quotedSource: ADDRESS.c1,
    });
  });

  test('RFC 4787 REQ-12b: from outside to the published port of a container that does not listen: refused', async () => {
    const { c1, far } = lab();
    await lab().publish({ protocol: 'udp', hostPort: 8300, container: c1, port: 9 });
    farPort.drain();
    const { socket } = await far.request('udp-open', { connect: { address: ADDRESS.host, port: 8300 } });
    await far.request('say', { socket, text: 'anybody?' });
    expect(await far.request('hear', { socket })).toMatchObject({ error: 'ECONNREFUSED' });
    expect(farPort.findIcmp(UNREACHABLE)).toMatchObject({
      source: ADDRESS.host,
      code: icmp.Unreachable.port,
      intact: true,
      quotedSource: ADDRESS.far,
      quotedDestination: ADDRESS.host,
    });
    await far.request('shut', { socket });
    await lab().publish({ protocol: 'tcp', hostPort: 8300, container: c1, port: 9 });
    await expect(far.request('tcp-open', { address: ADDRESS.host, port: 8300 })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('RFC 4787 REQ-12: no error ends a flow', async () => {
    const { c1, far } = lab();
    const { socket, port } = await c1.request('udp-open', {});
    const server = await udpServer(far);
    const to = { address: ADDRESS.far, port: server.port };
    const first = await askUdp(c1, to, { host: far, socket: server.socket }, { socket });
    await far.request('shut', { socket: server.socket });
    c1Port.drain();
    await c1.request('say', { socket, text: 'closed now', ...to });
    expect(c1Port.findIcmp(UNREACHABLE)).toMatchObject({ source: ADDRESS.far });
    const again = await udpServer(far, server.port);
    const second = await askUdp(c1, to, { host: far, socket: again.socket }, { socket });
    expect([second.question?.port, second.answer?.text]).toEqual([first.question?.port, 'answer to question']);
    expect(port).toBeGreaterThan(0);
    for (const [host, opened] of [
      [c1, socket],
      [far, again.socket],
    ] as const)
      await host.request('shut', { socket: opened });
  });

  test('R11: without a route: unreachable, not silence', async () => {
    const { c1, host } = lab();
    const { netlink } = host.namespace;
    removeRoute(netlink, { destination: 'default', gateway: ADDRESS.router });
    try {
      // The kernel's routes are followed; that takes a moment.
      const refusal = () => c1.request('tcp-open', { address: ADDRESS.far, port: 80 }).catch((error) => error.code);
      expect(await eventually(async () => (await refusal()) === 'ENETUNREACH')).toBe(true);
    } finally {
      host.namespace.configure('eth0', { gateway: ADDRESS.router });
    }
    expect(
      await eventually(
        async () => (await c1.ping({ address: ADDRESS.far, count: 1 }).catch(() => ({ received: 0 }))).received === 1,
      ),
    ).toBe(true);
  });

  test('R11: a neighbor that does not answer: host unreachable', async () => {
    const { c1 } = lab();
    await expect(c1.request('tcp-open', { address: '192.0.2.77', port: 80, timeoutMillis: 8000 })).rejects.toMatchObject({
      code: 'EHOSTUNREACH',
    });
  });
});

for (const uplinkMtu of [1400, 1280]) {
  describeGateways(`uplink MTU ${uplinkMtu}`, { uplinkMtu, checksums: 'checked' }, (lab) => {
    test('R21: a datagram that is too big and may not be fragmented: 3/4 with the MTU; the next one arrives', async () => {
      const { c1, far } = lab();
      const port = new FramePort(c1.namespace);
      const server = await udpServer(far);
      const { socket } = await c1.request('udp-open', {});
      const to = { address: ADDRESS.far, port: server.port };
      const text = longText(1450);
      await c1.request('say', { socket, text, ...to });
      expect(port.findIcmp(UNREACHABLE)).toMatchObject({
        source: ADDRESS.gateway,
        code: icmp.Unreachable.fragmentationNeeded,
        rest: uplinkMtu,
        intact: true,
        quotedSource: ADDRESS.c1,
      });
      // The stack has learned, and makes fragments.
      const { question, answer } = await askUdp(c1, to, { host: far, socket: server.socket }, { socket, text, reply: 'it came' });
      expect([question?.text === text, answer?.text]).toEqual([true, 'it came']);
      port.close();
      await c1.request('shut', { socket });
      await far.request('shut', { socket: server.socket });
    });

    test('RFC 5382 REQ-9: TCP goes on, both ways', async () => {
      const { c2, far } = lab();
      const outside = await far.tcpServe();
      const out = c2.tcpSend({ address: ADDRESS.far, port: outside.port, bytes: 3_000_003 });
      expect(await outside.result()).toMatchObject({ bytes: 3_000_003, intact: true });
      await out;
      await lab().publish({ protocol: 'tcp', hostPort: 8400, container: c2, port: 8400 });
      const served = await c2.tcpServe(8400);
      const sent = far.tcpSend({ address: ADDRESS.host, port: 8400, bytes: 3_000_003 });
      expect(await served.result()).toMatchObject({ bytes: 3_000_003, intact: true });
      await sent;
    });

    test('R22: a datagram that may be fragmented arrives whole', async () => {
      const { c2, far } = lab();
      // IP_PMTUDISC_DONT for sockets made from now on.
      await c2.sysctl('net/ipv4/ip_no_pmtu_disc', 1);
      const server = await udpServer(far);
      for (const bytes of [1400, 1472, 4000]) {
        const text = longText(bytes);
        const { question } = await askUdp(
          c2,
          { address: ADDRESS.far, port: server.port },
          { host: far, socket: server.socket },
          { text, reply: 'it came' },
        );
        expect(question?.text === text).toBe(true);
      }
      await far.request('shut', { socket: server.socket });
      await c2.sysctl('net/ipv4/ip_no_pmtu_disc', 0);
    });
  });
}

describeGateways('a smaller MTU behind the router', { farMtu: 1280, checksums: 'checked' }, (lab) => {
  test("R23: the router's 3/4 reaches the container, and what it sends then arrives", async () => {
    const { c1, far } = lab();
    const port = new FramePort(c1.namespace);
    const server = await udpServer(far);
    const { socket } = await c1.request('udp-open', {});
    const to = { address: ADDRESS.far, port: server.port };
    const text = longText(1450);
    await c1.request('say', { socket, text, ...to });
    expect(port.findIcmp(UNREACHABLE)).toMatchObject({
      source: ADDRESS.router,
      destination: ADDRESS.c1,
      code: icmp.Unreachable.fragmentationNeeded,
      rest: 1280,
      intact: true,
      quotedSource: ADDRESS.c1,
      quotedDestination: ADDRESS.far,
    });
    const { question } = await askUdp(c1, to, { host: far, socket: server.socket }, { socket, text, reply: 'it came' });
    expect(question?.text === text).toBe(true);
    port.close();
    await c1.request('shut', { socket });
    await far.request('shut', { socket: server.socket });
  });
});
