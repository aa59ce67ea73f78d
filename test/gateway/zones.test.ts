import { describe, expect, test } from 'vitest';
import { isUplink, Zones } from '../../src/gateway/zones.js';
import { ip, twoZones, UPLINK, UPLINK_PORT } from './made-batch.js';

describe('zones', () => {
  test('a bridge and an uplink', () => {
    const zones = twoZones();
    expect([zones.bridge[0], zones.port[0], zones.network[0], zones.mask[0]]).toEqual([
      0,
      8,
      ip('10.9.0.0'),
      ip('255.255.255.0'),
    ]);
    expect([zones.bridge[UPLINK], zones.port[UPLINK], zones.address[UPLINK]]).toEqual([-1, UPLINK_PORT, ip('192.168.7.2')]);
    expect([isUplink(0), isUplink(255), isUplink(256)]).toEqual([false, false, true]);
  });

  test('a zone that is cleared is as it was before', () => {
    const zones = twoZones();
    zones.clear(0);
    zones.clear(UPLINK);
    expect(zones).toEqual(new Zones());
  });

  test('what is no zone is refused', () => {
    const zones = new Zones();
    const row = { macHigh: 0, macLow: 0, address: 0, prefix: 0, port: -1, mtu: 0, flags: 0 };
    for (const zone of [-1, 272, 1.5]) {
      expect(() => zones.set(zone, row)).toThrow('is no zone');
    }
  });

  test('which addresses name a host', () => {
    const zones = twoZones();
    const hosts = [
      '10.9.0.1',
      '10.9.1.255',
      '8.8.8.8',
      '10.9.0.0',
      '10.9.0.255',
      '0.0.0.0',
      '127.0.0.1',
      '224.0.0.1',
      '255.255.255.255',
    ];
    expect(hosts.map((text) => zones.isHost(0, ip(text)))).toEqual([true, true, true, ...new Array(6).fill(false)]);
    zones.set(1, { macHigh: 0, macLow: 0, address: ip('10.8.0.0'), prefix: 31, port: -1, mtu: 0, flags: 0 });
    expect([zones.isHost(1, ip('10.8.0.0')), zones.isHost(1, ip('10.8.0.1'))]).toEqual([true, true]);
  });
});
