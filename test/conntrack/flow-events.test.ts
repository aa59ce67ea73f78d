import { describe, expect, test } from 'vitest';
import { FlowEvents } from '../../src/conntrack/flow-events.js';
import { Removal, Status } from '../../src/conntrack/flow-layout.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { CLIENT, OUTWARD, Rig, SERVER, segment, udpFrom } from './rig.js';

function makeRig(records = 16): { rig: Rig; events: FlowEvents; names: () => string[] } {
  const events = new FlowEvents(FlowEvents.allocate(records));
  // The watcher has the same memory, not the same object.
  const watcher = new FlowEvents(events.memory);
  const names = () => {
    const result: string[] = [];
    for (let record = watcher.take(); record !== null; record = watcher.take()) {
      result.push(`${record.event} ${record.status & Status.stateMask}`);
    }
    return result;
  };
  return { rig: new Rig({ events }), events: watcher, names };
}

describe('flow events', () => {
  test('new, each change of state, destroy', () => {
    const { rig, events, names } = makeRig();
    events.watch(true);
    rig.establish();
    rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 10 }));
    rig.conntrack.remove(0, Removal.flushed, rig.seconds);
    expect(names()).toEqual(['new 1', 'update 3', 'update 4', 'destroy 4']);
  });

  test('a record says all of its flow', () => {
    const { rig, events } = makeRig();
    rig.send(udpFrom('client'));
    events.watch(true);
    rig.seconds += 301;
    rig.conntrack.expire(rig.seconds, 1);
    expect(events.take()).toMatchObject({
      event: 'destroy',
      reason: Removal.expired,
      flow: 0,
      seconds: 1301,
      age: 301,
      seen: 1000,
      original: [parseIpv4(CLIENT), parseIpv4(SERVER), expect.any(Number)],
      zones: OUTWARD,
      mapping: 5,
      packets: [1, 0],
      bytes: [46, 0],
    });
    expect(events.take()).toBe(null);
  });

  test('nobody watches: nothing is written; who begins to watch sees nothing old', () => {
    const { rig, events, names } = makeRig();
    rig.send(udpFrom('client'));
    expect(names()).toEqual([]);
    events.watch(true);
    rig.send(udpFrom('server'));
    events.watch(false);
    rig.conntrack.remove(0, Removal.flushed, rig.seconds);
    events.watch(true);
    expect(names()).toEqual([]);
  });

  test('what does not fit is lost and counted, and the rest stays whole', () => {
    const { rig, events, names } = makeRig(4);
    events.watch(true);
    for (let port = 1; port <= 10; port++) rig.send(udpFrom('client', { sourcePort: port }));
    expect(events.lost).toBe(6);
    expect(names()).toEqual(Array(4).fill('new 0'));
    rig.send(udpFrom('client', { sourcePort: 11 }));
    expect(names()).toEqual(['new 0']);
  });

  test('a ring has a power of two of records', () => {
    expect(() => FlowEvents.allocate(12)).toThrow('power of two');
  });
});
