/** Rules A.2: what the bridge learns, for how long, how much, and when it forgets. */
import { describe, expect, test } from 'vitest';
import { NoticeKind } from '../../src/bridge/notices.js';
import { announcement, BROADCAST, frame, ipOf, labelOf, macOf, NOBODY, tagged, whoHas } from './frames.js';
import { network, Simulation } from './simulation.js';

describe('A.2: learning, ageing, moves', () => {
  test('L10: the same MAC in two VLANs on two ports: each VLAN has its own way', () => {
    const { simulation, ports } = network(3, false);
    ports[0].send(tagged(frame(BROADCAST, macOf(5)), 10));
    ports[1].send(tagged(frame(BROADCAST, macOf(5)), 20));
    expect(simulation.fdb()).toEqual({ [`${macOf(5)}/10`]: 0, [`${macOf(5)}/20`]: 1 });
    simulation.takeAll();
    const answers = [10, 20, 30].map((vid) => tagged(frame(macOf(5), macOf(6), vid), vid));
    ports[2].send(...answers);
    expect(simulation.takeAll()).toEqual([[answers[0], answers[2]], [answers[1], answers[2]], []]);
  });

  test('L10: in one burst too: VLANs, and MACs that differ in their first octets only, are not mixed up', () => {
    const { simulation, ports } = network(3, false);
    const alike = '06:00:00:00:00:05';
    ports[0].send(tagged(frame(BROADCAST, macOf(5)), 10), tagged(frame(BROADCAST, macOf(5)), 20), frame(BROADCAST, macOf(5)));
    ports[0].send(frame(BROADCAST, macOf(5)), frame(BROADCAST, alike));
    expect(simulation.fdb()).toEqual({ [`${macOf(5)}/10`]: 0, [`${macOf(5)}/20`]: 0, [macOf(5)]: 0, [alike]: 0 });
    ports[1].send(frame(BROADCAST, macOf(6)), tagged(frame(BROADCAST, '0a:00:00:00:00:05'), 10));
    simulation.takeAll();
    const answers = [
      frame(macOf(5), macOf(6)),
      frame('0a:00:00:00:00:05', macOf(6)),
      tagged(frame('0a:00:00:00:00:05', macOf(7)), 10),
    ];
    ports[2].send(...answers);
    expect(simulation.takeAll()).toEqual([[answers[0], answers[1]], [answers[1], answers[2]], []]);
  });

  test('what a frame teaches holds for the next one of the same burst', () => {
    const { simulation, ports } = network(2, false);
    ports[0].send(frame(macOf(5), macOf(1), 1), frame(BROADCAST, macOf(5), 2), frame(macOf(5), macOf(1), 3));
    expect(simulation.takeAll().map((frames) => frames.map(labelOf))).toEqual([[], [1, 2]]);
    expect(ports[0].count('tx_filtered')).toBe(1);
  });

  test('L10: a priority tag (VLAN 0) is no VLAN', () => {
    const { simulation, ports } = network(3);
    ports[0].send(tagged(frame(macOf(2), macOf(1)), 0, 5));
    expect(simulation.takeCounts()).toEqual([0, 1, 0]);
    expect(Object.keys(simulation.fdb())).toHaveLength(3);
  });

  test('L11: a port that does not learn: its hosts stay unknown, its frames go on', () => {
    const { simulation, ports } = network(3, false);
    ports[0].set({ learning: false });
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(simulation.fdb()).toEqual({});
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
    ports[1].send(frame(macOf(1), macOf(2)));
    expect(simulation.takeCounts()).toEqual([1, 0, 1]);
  });

  test('L11: ageing 0 floods always, from the moment it is set', () => {
    const { simulation, ports } = network(3);
    simulation.execute('set-bridge', { bridge: 0, settings: { ageingSeconds: 0 } });
    ports[0].send(frame(macOf(2), macOf(1)), frame(macOf(2), macOf(1)));
    expect(simulation.takeCounts()).toEqual([0, 2, 2]);
    expect(simulation.fdb()).toEqual({});
  });

  test('L12: each frame of a host refreshes it', () => {
    const { simulation, ports } = network(3);
    for (let turn = 0; turn < 4; turn++) {
      simulation.clock.advanceSeconds(200);
      ports[1].send(frame(macOf(1), macOf(2)));
    }
    simulation.takeAll();
    ports[0].send(frame(macOf(2), macOf(1)));
    expect(simulation.takeCounts()).toEqual([0, 1, 0]);
  });

  test('L13: a host that moved is found with its first frame, in the same burst too; one notice tells of it', () => {
    const { simulation, ports } = network(3);
    ports[0].send(frame(macOf(2), macOf(1), 1));
    ports[2].queue(frame(BROADCAST, macOf(2), 2));
    ports[2].queue(frame(macOf(2), macOf(3), 3));
    simulation.run();
    expect(simulation.fdb()[macOf(2)]).toBe(2);
    simulation.takeAll();
    ports[0].send(frame(macOf(2), macOf(1), 4));
    expect(simulation.takeAll().map((frames) => frames.map(labelOf))).toEqual([[], [], [4]]);
    expect(simulation.notices()).toMatchObject([{ kind: NoticeKind.fdbMoved, from: 1, to: 2, times: 1 }]);
    expect(simulation.counters().fdb_moved).toBe(1);
  });

  test('L13: a MAC that flaps is one notice with a count, not a storm', () => {
    const { simulation, ports } = network(2, false);
    for (let turn = 0; turn < 100; turn++) {
      ports[turn % 2].send(frame(BROADCAST, macOf(7)));
    }
    expect(simulation.notices()).toMatchObject([{ times: 99 }]);
  });

  test('L14: what the orchestrator set does not move: frames from elsewhere are forwarded, answers go to the owner', () => {
    const { simulation, ports } = network(2);
    const owner = simulation.port({ mac: macOf(30) });
    ports[0].send(frame(macOf(2), macOf(30)));
    expect(simulation.takeCounts()).toEqual([0, 1, 0]);
    ports[1].send(frame(macOf(30), macOf(2)));
    expect(owner.take()).toHaveLength(1);
  });

  test('L15: 300 s of silence and the host is still known, 301 and it is flooded to again', () => {
    const { simulation, ports } = network(3);
    simulation.clock.advanceSeconds(300);
    ports[0].send(frame(macOf(2), macOf(1)));
    expect(simulation.takeCounts()).toEqual([0, 1, 0]);
    simulation.clock.advanceSeconds(1);
    ports[0].send(frame(macOf(2), macOf(1)));
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
  });

  test('L15: the sweep frees what has expired and counts it', () => {
    const { simulation } = network(3);
    simulation.wait(320);
    expect(simulation.bridge.fdb.learned).toBe(0);
    expect(simulation.counters().fdb_aged).toBe(3);
  });

  test('L15: the ageing time can be set', () => {
    const { simulation, ports } = network(3, true, { ageingSeconds: 10 });
    simulation.clock.advanceSeconds(11);
    ports[0].send(frame(macOf(2), macOf(1)));
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
  });

  test('L16: 65,536 addresses by default; the next is not learned, is counted, and its frames flood on', () => {
    const { simulation, ports } = network(3, false);
    for (let from = 0; from < 65_536 + 100; from += 1024) {
      const sources = Array.from({ length: Math.min(1024, 65_636 - from) }, (_, index) => from + index);
      ports[0].send(...sources.map((n) => frame(BROADCAST, macOf(0x10000 + n))));
      simulation.takeAll();
    }
    expect(simulation.bridge.fdb.learned).toBe(65_536);
    expect(simulation.counters()).toMatchObject({ fdb_learned: 65_536, fdb_full: 100 });
    expect(simulation.notices()).toHaveLength(1);
    // A known host is still found and refreshed; it may move.
    ports[1].send(frame(macOf(0x10005), macOf(0x10006), 1));
    expect(simulation.takeCounts()).toEqual([1, 0, 0]);
    expect(simulation.counters().fdb_moved).toBe(1);
    // An unknown one floods, both ways.
    ports[1].send(frame(macOf(0x10005), macOf(9), 2));
    ports[2].send(frame(macOf(9), macOf(0x10007), 3));
    expect(simulation.takeCounts()).toEqual([2, 1, 0]);
  });

  test('L16: a port with a limit of its own cannot fill the table', () => {
    const simulation = new Simulation();
    const greedy = simulation.port({ macLimit: 2 });
    const other = simulation.port();
    greedy.send(...[1, 2, 3, 4].map((n) => frame(BROADCAST, macOf(n))));
    other.send(...[5, 6, 7].map((n) => frame(BROADCAST, macOf(n))));
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0, [macOf(2)]: 0, [macOf(5)]: 1, [macOf(6)]: 1, [macOf(7)]: 1 });
    expect(simulation.counters().fdb_full).toBe(2);
    expect(other.take()).toHaveLength(4);
  });

  test('L16: the limit of a running bridge can be changed', () => {
    const { simulation, ports } = network(2, false);
    simulation.execute('set-bridge', { bridge: 0, settings: { fdbLimit: 1 } });
    ports[0].send(frame(BROADCAST, macOf(1)), frame(BROADCAST, macOf(2)));
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0 });
    simulation.execute('set-bridge', { bridge: 0, settings: { fdbLimit: 2 } });
    ports[0].send(frame(BROADCAST, macOf(2)), frame(BROADCAST, macOf(3)));
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0, [macOf(2)]: 0 });
  });

  test('L17: a port that goes down loses what it taught, its neighbors included; what was set stays', () => {
    const { simulation, ports } = network(2);
    const pinned = simulation.port({ mac: macOf(30), ip: ipOf(30) });
    ports[1].send(announcement(2));
    pinned.send(frame(BROADCAST, macOf(31)));
    ports[1].set({ up: false });
    pinned.set({ up: false });
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0, [macOf(30)]: 2 });
    ports[1].set({ up: true });
    pinned.set({ up: true });
    simulation.takeAll();
    // Its MAC is seen again, but nothing says that it still has its address.
    ports[1].send(frame(macOf(1), macOf(2)));
    simulation.takeAll();
    ports[0].send(whoHas(ipOf(2), 1), whoHas(ipOf(30), 1));
    expect(ports[0].take()).toHaveLength(1);
    expect(ports[1].take()).toHaveLength(1);
  });

  test('L17: a port that is removed is forgotten whole; the next frame to its hosts floods', () => {
    const { simulation, ports } = network(3);
    ports[1].send(announcement(2));
    const pinned = simulation.port({ mac: macOf(30), ip: ipOf(30) });
    pinned.remove();
    ports[1].remove();
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0, [macOf(3)]: 2 });
    expect([...simulation.bridge.neighbors.entries(simulation.engine.seconds)]).toEqual([]);
    simulation.takeAll();
    ports[0].send(frame(macOf(2), macOf(1)), whoHas(ipOf(2), 1));
    expect(simulation.takeCounts()).toEqual([0, 0, 2, 0]);
  });

  test('L18: a frame consumed for its reserved address has taught its source', () => {
    const { simulation, ports } = network(2, false);
    ports[0].send(frame('01:80:c2:00:00:0e', macOf(1)));
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0 });
  });

  test('L20: destinations are never learned', () => {
    const { simulation, ports } = network(2, false);
    ports[0].send(frame(NOBODY, macOf(1)));
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0 });
  });
});

test('a port number is used again: the new port starts from nothing', () => {
  const { simulation, ports } = network(2);
  const before = simulation.ports[1].number;
  ports[1].remove();
  ports[0].send(frame(macOf(2), macOf(1)));
  simulation.ports.pop();
  const again = simulation.port();
  expect(again.number).toBe(before);
  expect([again.count('rx_frames'), again.count('tx_frames')]).toEqual([0, 0]);
  ports[0].send(frame(BROADCAST, macOf(1)));
  expect(again.take()).toHaveLength(1);
});
