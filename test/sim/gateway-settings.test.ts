/** Which flows end when a setting of the gateway changes, and which packets of a container are the host's. */
import { describe, expect, test } from 'vitest';
import { gatewaySettings } from '../../src/control/routing.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { ipOf, macOf } from './frames.js';
import { GATEWAY_IP, UPLINK_IP } from './gateway-simulation.js';
import { at, FAR, fragments, inside, NatRig, outside } from './nat/rig.js';
import { datagram, echo } from './packets.js';

const SERVICE = 8000;
const SPARE = '192.0.2.3';

/** A packet of protocol 47 (GRE) to a host outside. */
function gre(n: number): Uint8Array {
  const bytes = datagram(at(n, 1), `${FAR}:1`, inside(n));
  bytes[23] = ipv4.Protocol.gre;
  ipv4.fillHeaderChecksum(bytes, 14);
  return bytes;
}

describe('N21: an address goes while the uplink is down', () => {
  test('a mapping between containers goes along: it would come back without its mark', () => {
    const rig = new NatRig();
    const { gateway } = rig;
    const { mappings } = gateway.gateway;
    gateway.publish({ hostPort: SERVICE, port: 9000, address: parseIpv4(ipOf(2)), owner: rig.container(2).number });
    rig.send(1, datagram(at(1, 20_001), `${UPLINK_IP}:${SERVICE}`, inside(1)));
    expect(rig.flows(ipv4.Protocol.udp)).toHaveLength(1);
    expect(mappings.size).toBe(1);

    gateway.setUplink({ up: false, addresses: [] });
    expect(rig.flows(ipv4.Protocol.udp)).toEqual([]);
    expect(mappings.size).toBe(0);
  });
});

describe('the egress address of a port changes', () => {
  test('flows of protocols without ports end as well', () => {
    const rig = new NatRig({ addresses: [SPARE] });
    expect(rig.send(1, gre(1))).toHaveLength(1);
    expect(rig.flows(ipv4.Protocol.gre)).toHaveLength(1);
    rig.simulation.execute('set-egress', { port: rig.container(1).number, address: parseIpv4(SPARE) });
    expect(rig.flows(ipv4.Protocol.gre)).toEqual([]);
  });
});

describe('N29: an uplink has more addresses than the guard has room for', () => {
  const addresses = Array.from({ length: 20 }, (_, index) => `192.0.2.${100 + index}`);

  test('it goes on; those without room are not translated to', () => {
    const rig = new NatRig();
    const { gateway } = rig;
    gateway.setUplink({ addresses: [UPLINK_IP, ...addresses] });
    expect(rig.udp(1, 20_001, `${FAR}:53`)).toBe(`${UPLINK_IP}:20001`);
    const holds = addresses.map((each) => gateway.gateway.uplinks.holds(gateway.uplinkZone, parseIpv4(each)));
    expect(holds.filter(Boolean)).toHaveLength(15);
    gateway.setUplink({ addresses: [addresses[19], ...addresses] });
    expect(rig.flows(ipv4.Protocol.udp)).toEqual([]);
    expect(rig.udp(1, 20_001, `${FAR}:53`)).toBe(`${addresses[19]}:20001`);
  });
});

describe('N40: a flow ends between two fragments', () => {
  test('the second one follows no other flow that got its place', () => {
    const rig = new NatRig();
    const whole = datagram(at(1, 20_001), `${FAR}:53`, { ...inside(1), dontFragment: false }, new Uint8Array(1000));
    const [first, second] = fragments(whole, [504]);
    expect(rig.send(1, first)).toHaveLength(1);
    rig.flush();
    rig.udp(1, 20_002, `${FAR}:53`);
    expect(rig.send(1, second)).toEqual([]);
    expect(rig.drops()).toEqual({ fragment_timeout: 1 });
  });
});

describe('a port goes', () => {
  test('D.5: flows that came in by a mapping of its container end with it', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const outer = rig.udp(1, 20_001, `${FAR}:53`);
    expect(rig.admits('203.0.113.9:77', outer, 1)).toBe(true);
    expect(rig.flows(ipv4.Protocol.udp)).toHaveLength(2);
    rig.container(1).remove();
    expect(rig.flows(ipv4.Protocol.udp)).toEqual([]);
    expect(rig.gateway.gateway.mappings.size).toBe(0);
  });
});

describe('internal', () => {
  test('a bridge that becomes internal keeps no flow to the outside', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 20_001, `${FAR}:53`);
    rig.gateway.setGateway({ internal: true });
    expect(rig.flows(ipv4.Protocol.udp)).toEqual([]);
    expect(rig.send(1, datagram(at(1, 20_001), `${FAR}:53`, inside(1)))).toEqual([]);
    expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(false);
    expect(rig.drops()).toEqual({ internal: 1, not_published: 1 });
  });

  test('a change that leaves it open ends nothing', () => {
    const rig = new NatRig();
    rig.udp(1, 20_001, `${FAR}:53`);
    rig.gateway.setGateway({ mtu: 1400 });
    expect(rig.flows(ipv4.Protocol.udp)).toHaveLength(1);
  });
});

describe('ICMP queries to an address of the host', () => {
  test('are answered by the host, whatever id somebody has mapped', () => {
    const rig = new NatRig();
    const id = rig.echo(1, 20_500, FAR);
    rig.clear();
    for (const address of [UPLINK_IP, GATEWAY_IP]) {
      rig.send(2, echo(ipOf(2), address, id, inside(2)));
      expect(rig.gateway.host.receive()?.frame.subarray(14)).toEqual(echo(ipOf(2), address, id, inside(2)).subarray(14));
    }
    rig.arrive(echo(FAR, UPLINK_IP, id, { ...outside, type: icmp.Type.echoReply }));
    expect(rig.received(1)).toHaveLength(1);
    expect(rig.drops()).toEqual({});
  });
});

describe('a bridge with an uplink of its own', () => {
  const bridge = {
    routing: { uplink: 'vpn0', internal: false, icc: true, egressAddress: 0, mssClamp: 'auto', rules: [] },
    pool: { gateway: parseIpv4(GATEWAY_IP), subnet: { network: parseIpv4('10.0.0.0'), prefix: 24 } },
    host: { number: 59 },
    mac: macOf(254),
    mtu: 1500,
    ports: new Map(),
  } as unknown as Parameters<typeof gatewaySettings>[0];

  test('sends nothing by the uplinks of others while its own is not open', () => {
    const rig = new NatRig();
    rig.udp(1, 20_001, `${FAR}:53`);
    const { uplink } = gatewaySettings(bridge, () => -1);
    rig.gateway.setGateway({ uplink });
    expect(rig.send(1, datagram(at(1, 20_001), `${FAR}:53`, inside(1)))).toEqual([]);
    expect(rig.drops()).toEqual({ no_route: 1 });
    rig.gateway.setGateway({ uplink: gatewaySettings(bridge, () => 0).uplink });
    expect(rig.send(1, datagram(at(1, 20_001), `${FAR}:53`, inside(1)))).toHaveLength(1);
  });
});
