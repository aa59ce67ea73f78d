/** The uplink goes, comes back and changes its address under traffic: N21. */
import { expect, test } from 'vitest';
import { addAddress, removeAddress } from '../../../src/netlink/address.js';
import { getLink } from '../../../src/netlink/link.js';
import { addRoute } from '../../../src/netlink/route.js';
import { eventually } from '../../helpers/daemon.js';
import { ADDRESS, askTcp, askUdp, describeGateways, udpServer } from '../../helpers/gateway.js';

const PORT = 5000;
const LATER = '192.0.2.66';

describeGateways('uplink', { checksums: 'checked' }, (lab) => {
  const reaches = async () =>
    (
      await lab()
        .c1.ping({ address: ADDRESS.far, count: 1, timeoutMillis: 200 })
        .catch(() => ({ received: 0 }))
    ).received === 1;

  test('down and up under traffic: silence, then as before', async () => {
    const { c1, c2, far } = lab();
    const sending = c2.udpSend({ address: ADDRESS.far, port: 9, count: 2000, payload: 1000 }).catch(() => undefined);
    lab().setUplink(false);
    expect(await eventually(async () => !(await reaches()))).toBe(true);
    await sending;
    lab().setUplink(true);
    expect(await eventually(reaches)).toBe(true);
    const served = await far.tcpServe();
    const sent = c1.tcpSend({ address: ADDRESS.far, port: served.port, bytes: 3_000_003 });
    expect(await served.result()).toMatchObject({ bytes: 3_000_003, intact: true });
    await sent;
  });

  test('N21: a connection that is idle while the uplink is down for a moment goes on: picked up, on the same outer port', async () => {
    const { c1, far } = lab();
    const listener = await far.request('tcp-listen', {});
    const own = await c1.request('tcp-open', { address: ADDRESS.far, port: listener.port });
    const accepted = await far.request('tcp-accept', { socket: listener.socket });
    lab().setUplink(false);
    expect(await eventually(async () => !(await reaches()))).toBe(true);
    lab().setUplink(true);
    expect(await eventually(reaches)).toBe(true);
    await c1.request('say', { socket: own.socket, text: 'still here?' });
    const heard = await far.request('hear', { socket: accepted?.socket ?? 0, timeoutMillis: 5000 });
    expect(heard?.text).toBe('still here?');
    await c1.request('shut', { socket: own.socket });
    await far.request('shut', { socket: listener.socket });
  });

  test('N21: a new address: flows leave with it, published ports answer on it', async () => {
    const { host, c1, far } = lab();
    const { netlink } = host.namespace;
    const { index } = getLink(netlink, 'eth0');
    await lab().publish({ protocol: 'tcp', hostPort: 8600, container: c1 });
    const listener = await c1.request('tcp-listen', { port: 8600 });
    const server = await udpServer(far, PORT);
    const { socket } = await c1.request('udp-open', {});
    const to = { address: ADDRESS.far, port: PORT };
    expect((await askUdp(c1, to, { host: far, socket: server.socket }, { socket })).question?.address).toBe(ADDRESS.host);

    removeAddress(netlink, index, ADDRESS.host, 24);
    addAddress(netlink, index, LATER, 24);
    addRoute(netlink, { destination: 'default', gateway: ADDRESS.router, index });
    expect(await eventually(reaches)).toBe(true);

    // The socket goes on, by a new flow.
    let seen = '';
    const renewed = async () => {
      const { question } = await askUdp(c1, to, { host: far, socket: server.socket }, { socket, waitMillis: 200 });
      seen = question?.address ?? '';
      return seen === LATER;
    };
    expect([await eventually(renewed), seen]).toEqual([true, LATER]);
    expect((await askTcp(far, { address: LATER, port: 8600 }, { host: c1, socket: listener.socket })).address).toBe(ADDRESS.far);
    await c1.request('shut', { socket });
  });
});
