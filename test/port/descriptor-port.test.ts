import { describe, expect, test } from 'vitest';
import { DescriptorPort } from '../../src/port/descriptor-port.js';
import { describeFrame, makeBurst, numbered, put } from './burst.js';

describe('descriptor port', () => {
  test('tap: read as a tap, vnet header and super-frames of datagrams as the kernel allows', () => {
    const tap = new DescriptorPort({ kind: 'tap', descriptor: 7, vnetHeader: true, udpSegmentation: true });
    expect(tap).toMatchObject({ kind: 'tap', descriptor: 7, descriptorKind: 0, headerBytes: 12, udpSegmentation: true });
  });

  test('packet: read as a socket; without vnet header there are no super-frames', () => {
    const socket = new DescriptorPort({ kind: 'packet', descriptor: 7, vnetHeader: false, udpSegmentation: true });
    expect(socket).toMatchObject({ kind: 'packet', descriptorKind: 1, headerBytes: 0, udpSegmentation: false });
  });

  test('frames pass beside it: a pull adds none, a delivery is lost', () => {
    const port = new DescriptorPort({ kind: 'host', descriptor: 7, vnetHeader: true, udpSegmentation: true });
    const burst = makeBurst();
    burst.batch.begin(0, 0);
    port.pull(burst.batch, 0, 64);
    expect(burst.batch.count).toBe(0);
    describeFrame(burst, put(burst.batch, 0, numbered(1)), 12);
    describeFrame(burst, 0, 12, [20, 30]);
    expect(port.deliver(burst.ring, 0, burst.ring.used)).toBe(2);
    expect(port.nextDue(0)).toBe(Number.POSITIVE_INFINITY);
  });

  test('no descriptor: refused', () => {
    expect(() => new DescriptorPort({ kind: 'tap', descriptor: -1, vnetHeader: true, udpSegmentation: true })).toThrow(
      'a tap port needs a file descriptor, not -1',
    );
  });
});
