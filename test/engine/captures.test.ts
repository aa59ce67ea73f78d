import { describe, expect, test } from 'vitest';
import { Field, FrameRing } from '../../src/core/frame-ring.js';
import { makePacket, payload } from '../helpers/packet.js';
import { announcement, BROADCAST, frame, ipOf, labelOf, macOf, readArp, whoHas } from '../sim/frames.js';
import { network, type Simulation } from '../sim/simulation.js';

const IN = 1;
const OUT = 2;

interface Captured {
  port: number;
  direction: number;
  packet: number;
  originalLength: number;
  bytes: Uint8Array;
  fields: number[];
}

function start(simulation: Simulation, settings: { port?: number; bridge?: number; snapLength?: number } = {}) {
  const ring = new FrameRing(FrameRing.allocate(1 << 20));
  const { port = -1, bridge = 0, snapLength = 65_535 } = settings;
  simulation.execute('start-capture', { capture: 1, settings: { bridge, port, snapLength, ring: ring.memory } });
  return () => {
    const captured: Captured[] = [];
    const take = (bytes: Uint8Array, fields: Int32Array) => {
      captured.push({
        port: fields[Field.port],
        direction: fields[Field.direction],
        packet: fields[Field.packet],
        originalLength: fields[Field.originalLength],
        bytes: bytes.slice(),
        fields: [...fields],
      });
    };
    while (ring.read(take)) {
      // Until the ring is empty.
    }
    return captured;
  };
}

describe('captures', () => {
  test('of a bridge: each frame once, as it was received, dropped ones too', () => {
    const { simulation, ports } = network(3);
    const read = start(simulation);
    const sent = [frame(BROADCAST, macOf(1), 1), frame(macOf(2), macOf(1), 2), frame('01:80:c2:00:00:02', macOf(1), 3)];
    ports[0].send(...sent);
    ports[2].send(frame(macOf(1), macOf(3), 4));
    const captured = read();
    expect(captured.map(({ port, direction, bytes }) => [port, direction, labelOf(bytes)])).toEqual([
      [0, IN, 1],
      [0, IN, 2],
      [0, IN, 3],
      [2, IN, 4],
    ]);
    expect(captured.slice(0, 3).map(({ bytes }) => bytes)).toEqual(sent);
  });

  test('of a bridge: what it made itself, as it is sent', () => {
    const { simulation, ports } = network(2);
    ports[1].send(announcement(2));
    const read = start(simulation);
    ports[0].send(whoHas(ipOf(2), 1));
    expect(read().map(({ port, direction, bytes }) => [port, direction, readArp(bytes).slice(0, 14)])).toEqual([
      [0, IN, 'request 10.0.0'],
      [0, OUT, 'reply 10.0.0.2'],
    ]);
  });

  test('of a port: what it received and what was sent to it; the copies of one frame have one packet id', () => {
    const { simulation, ports } = network(3);
    const read = start(simulation, { port: 1 });
    const all = start(simulation);
    ports[0].send(frame(BROADCAST, macOf(1), 1), frame(macOf(3), macOf(1), 2), frame(macOf(2), macOf(1), 3));
    ports[1].send(frame(macOf(1), macOf(2), 4));
    const captured = read();
    expect(captured.map(({ port, direction, bytes }) => [port, direction, labelOf(bytes)])).toEqual([
      [1, OUT, 1],
      [1, OUT, 3],
      [1, IN, 4],
    ]);
    const ids = new Map(all().map(({ packet, bytes }) => [labelOf(bytes), packet]));
    expect(captured.map(({ packet }) => packet)).toEqual([1, 3, 4].map((label) => ids.get(label)));
    expect(new Set(ids.values()).size).toBe(4);
  });

  test('cut to the snap length, with the length it had, its time and its vnet header', () => {
    const { simulation, ports } = network(2);
    simulation.clock.now = 2 ** 32 + 5 + 2 ** 33;
    const read = start(simulation, { snapLength: 50 });
    ports[0].send(makePacket({ protocol: 'tcp', gsoSize: 500, payload: payload(3000), source: macOf(1), destination: macOf(2) }));
    const [{ bytes, originalLength, fields }] = read();
    expect([bytes.length, originalLength]).toEqual([50, 3054]);
    expect([fields[Field.microsHigh], fields[Field.microsLow]]).toEqual([3, 5]);
    expect(fields[Field.vnetFlags]).toBe(1 | (1 << 8));
  });

  test('of another bridge: nothing; stopped: nothing more', () => {
    const { simulation, ports } = network(2);
    simulation.addBridge(1);
    const other = start(simulation, { bridge: 1 });
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(other()).toEqual([]);
    expect(simulation.execute('stop-capture', { capture: 1 })).toEqual({ lost: 0 });
    const read = start(simulation);
    simulation.execute('stop-capture', { capture: 1 });
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(read()).toEqual([]);
  });

  test('a reader that is too slow loses frames of its own only, and learns how many', () => {
    const { simulation, ports } = network(2);
    const ring = new FrameRing(FrameRing.allocate(4096));
    const settings = { bridge: 0, port: -1, snapLength: 65_535, ring: ring.memory };
    simulation.execute('start-capture', { capture: 1, settings });
    ports[0].send(...Array.from({ length: 100 }, (_, label) => frame(macOf(2), macOf(1), label)));
    expect(ports[1].take()).toHaveLength(100);
    const { lost } = simulation.execute('stop-capture', { capture: 1 });
    expect(lost).toBe(100 - Math.floor(4096 / 92));
  });

  test('a capture of a bridge that does not exist is refused', () => {
    const { simulation } = network(1);
    expect(() => start(simulation, { bridge: 7 })).toThrow('there is no bridge 7');
  });
});
