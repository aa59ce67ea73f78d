/** The gateway's main ways, from cable to cable. */
import { describe, expect, test } from 'vitest';
import { EtherType, etherType } from '../../src/wire/ethernet.js';
import * as icmp from '../../src/wire/icmp.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import * as tcp from '../../src/wire/tcp.js';
import { arpReply, GATEWAY_MAC, ipOf, macOf } from './frames.js';
import { GATEWAY_IP, GatewaySimulation, ROUTER_IP, ROUTER_MAC, UPLINK_IP, UPLINK_MAC } from './gateway-simulation.js';
import { datagram, echo, icmpError, isIntact, read, segment } from './packets.js';

const FAR = '198.51.100.7';
const inside = (n: number) => ({ sourceMac: macOf(n) });
const outside = { sourceMac: ROUTER_MAC, destinationMac: UPLINK_MAC };

/** A gateway whose router has answered its ARP request. */
function routed(options: ConstructorParameters<typeof GatewaySimulation>[0] = {}) {
  const gateway = new GatewaySimulation(options);
  const container = gateway.container(1);
  container.send(datagram(`${ipOf(1)}:5000`, `${FAR}:1`, inside(1)));
  answerArp(gateway);
  take(gateway);
  return { gateway, container };
}

function take({ uplink }: GatewaySimulation): Uint8Array[] {
  const taken: Uint8Array[] = [];
  for (let next = uplink.receive(); next !== undefined; next = uplink.receive()) taken.push(next.frame);
  return taken;
}

function answerArp(gateway: GatewaySimulation): void {
  const request = take(gateway).find((each) => etherType(each, 0) === EtherType.arp);
  expect(request).toBeDefined();
  gateway.uplink.send(arpReply({ senderMac: ROUTER_MAC, senderIp: ROUTER_IP, targetMac: UPLINK_MAC, targetIp: UPLINK_IP }));
  gateway.simulation.run();
}

/** Outer port a packet left from. */
function portOf(line: string): number {
  return Number(/:(\d+) >/.exec(line)?.[1]);
}

describe('from a container to the outside', () => {
  test('the first packet waits for the router, then leaves with the address of the uplink; the answer finds the container', () => {
    const gateway = new GatewaySimulation();
    const container = gateway.container(1);
    container.send(datagram(`${ipOf(1)}:5000`, `${FAR}:53`, inside(1)));
    const [request, ...rest] = take(gateway);
    expect(etherType(request, 0)).toBe(EtherType.arp);
    expect(rest).toEqual([]);
    gateway.uplink.send(arpReply({ senderMac: ROUTER_MAC, senderIp: ROUTER_IP, targetMac: UPLINK_MAC, targetIp: UPLINK_IP }));
    gateway.simulation.run();
    const [sent] = take(gateway);
    const port = portOf(read(sent));
    expect(read(sent)).toBe(`udp ${UPLINK_IP}:${port} > ${FAR}:53 ttl 63`);
    expect(port).toBeGreaterThanOrEqual(20_000);
    expect(isIntact(sent)).toBe(true);
    gateway.uplink.send(datagram(`${FAR}:53`, `${UPLINK_IP}:${port}`, outside));
    gateway.simulation.run();
    const [answer] = container.take();
    expect(read(answer)).toBe(`udp ${FAR}:53 > ${ipOf(1)}:5000 ttl 63`);
    expect(isIntact(answer)).toBe(true);
  });

  test('an echo and its answer', () => {
    const { gateway, container } = routed();
    container.send(echo(ipOf(1), FAR, 77, inside(1)));
    const [sent] = take(gateway);
    const id = Number(/id (\d+)/.exec(read(sent))?.[1]);
    expect(read(sent)).toBe(`icmp 8/0 id ${id} ${UPLINK_IP} > ${FAR} ttl 63`);
    gateway.uplink.send(echo(FAR, UPLINK_IP, id, { ...outside, type: icmp.Type.echoReply }));
    gateway.simulation.run();
    expect(container.take().map(read)).toEqual([`icmp 0/0 id 77 ${FAR} > ${ipOf(1)} ttl 63`]);
  });

  test('a TCP connection is followed through its states', () => {
    const { gateway, container } = routed();
    const client = `${ipOf(1)}:40000`;
    container.send(segment(client, `${FAR}:80`, { flags: tcp.Flag.syn, sequence: 100 }, inside(1)));
    const port = portOf(read(take(gateway)[0]));
    const outer = `${UPLINK_IP}:${port}`;
    gateway.uplink.send(
      segment(`${FAR}:80`, outer, { flags: tcp.Flag.syn | tcp.Flag.ack, sequence: 900, acknowledgment: 101 }, outside),
    );
    gateway.simulation.run();
    expect(container.take().map(read)).toEqual([`tcp ${FAR}:80 > ${client} ttl 63`]);
    container.send(segment(client, `${FAR}:80`, { flags: tcp.Flag.ack, sequence: 101, acknowledgment: 901 }, inside(1)));
    const { flows } = gateway.simulation.execute('list-flows', { filter: { protocol: 6 }, from: 0, limit: 100 });
    expect(flows.map(({ state, assured }) => ({ state, assured }))).toEqual([{ state: 'established', assured: true }]);
  });

  test('an ICMP error of a router on the way reaches the container, its quote translated back', () => {
    const { gateway, container } = routed();
    container.send(datagram(`${ipOf(1)}:5000`, `${FAR}:33434`, inside(1)));
    const [sent] = take(gateway);
    gateway.uplink.send(icmpError('203.0.113.1', UPLINK_IP, icmp.Type.timeExceeded, 0, sent, outside));
    gateway.simulation.run();
    const [error] = container.take();
    expect(read(error)).toBe(`icmp 11/0 id 0 203.0.113.1 > ${ipOf(1)} ttl 63`);
    expect(isIntact(error)).toBe(true);
    expect(read(error.subarray(28))).toBe(`udp ${ipOf(1)}:5000 > ${FAR}:33434 ttl 63`);
  });

  test('TTL 1: the gateway says so itself', () => {
    const { gateway, container } = routed();
    container.send(datagram(`${ipOf(1)}:5000`, `${FAR}:53`, { ...inside(1), ttl: 1 }));
    expect(container.take().map(read)).toEqual([`icmp 11/0 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`]);
    expect(gateway.count('ttl_exceeded')).toBe(1);
  });
});

describe('from outside to a container', () => {
  test('published: the container sees the real client, the client the published port', () => {
    const { gateway, container } = routed();
    gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(1)), owner: container.number });
    gateway.uplink.send(datagram(`${FAR}:4000`, `${UPLINK_IP}:8080`, outside));
    gateway.simulation.run();
    expect(container.take().map(read)).toEqual([`udp ${FAR}:4000 > ${ipOf(1)}:80 ttl 63`]);
    container.send(datagram(`${ipOf(1)}:80`, `${FAR}:4000`, inside(1)));
    expect(take(gateway).map(read)).toEqual([`udp ${UPLINK_IP}:8080 > ${FAR}:4000 ttl 63`]);
  });

  test('not published: nothing comes in, and nobody outside is told', () => {
    const { gateway, container } = routed();
    gateway.uplink.send(datagram(`${FAR}:4000`, `${UPLINK_IP}:8081`, outside));
    gateway.simulation.run();
    expect(container.take()).toEqual([]);
    expect(take(gateway)).toEqual([]);
    expect(gateway.count('not_published', gateway.uplinkZone)).toBe(1);
  });
});

describe('N24: hairpin', () => {
  test('a container reaches another one, and itself, by the published port of the host', () => {
    const { gateway, container } = routed();
    const server = gateway.container(2);
    gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(2)), owner: server.number });
    container.send(datagram(`${ipOf(1)}:5000`, `${UPLINK_IP}:8080`, inside(1)));
    const [asked] = server.take();
    const outer = portOf(read(asked));
    expect(read(asked)).toBe(`udp ${UPLINK_IP}:${outer} > ${ipOf(2)}:80 ttl 63`);
    server.send(datagram(`${ipOf(2)}:80`, `${UPLINK_IP}:${outer}`, inside(2)));
    expect(container.take().map(read)).toEqual([`udp ${UPLINK_IP}:8080 > ${ipOf(1)}:5000 ttl 63`]);
    server.send(datagram(`${ipOf(2)}:6000`, `${UPLINK_IP}:8080`, inside(2)));
    expect(server.take().map(read)).toEqual([expect.stringMatching(`udp ${UPLINK_IP}:\\d+ > ${ipOf(2)}:80 ttl 63`)]);
  });
});

describe('the host itself', () => {
  test('its addresses are its own: the frame goes to the host port as it is', () => {
    const { gateway, container } = routed();
    const frame = datagram(`${ipOf(1)}:5000`, `${UPLINK_IP}:22`, inside(1));
    container.send(frame);
    expect(gateway.host.receive()?.frame).toEqual(frame);
    expect(gateway.count('to_host')).toBe(1);
  });

  test('no route: unreachable, not silence', () => {
    const { gateway, container } = routed();
    gateway.setRoutes([]);
    container.send(datagram(`${ipOf(1)}:5001`, `${FAR}:53`, inside(1)));
    expect(container.take().map(read)).toEqual([`icmp 3/0 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`]);
  });
});

describe('what the host itself would let in', () => {
  test('packets its stack forwards from others end at the host port; its own pass', () => {
    const { gateway, container } = routed();
    const toContainer = (source: string) =>
      datagram(`${source}:4000`, `${ipOf(1)}:80`, { sourceMac: GATEWAY_MAC, destinationMac: macOf(1) });
    gateway.host.send(toContainer(FAR));
    gateway.host.send(toContainer(UPLINK_IP));
    gateway.host.send(toContainer(GATEWAY_IP));
    gateway.simulation.run();
    expect(container.take().map(read)).toEqual([
      `udp ${UPLINK_IP}:4000 > ${ipOf(1)}:80 ttl 64`,
      `udp ${GATEWAY_IP}:4000 > ${ipOf(1)}:80 ttl 64`,
    ]);
  });
});
