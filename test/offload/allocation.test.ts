/** The hot path allocates nothing: a million frames through coalescing and through a port without offloads leave nothing on the heap. */
import { expect, test } from 'vitest';
import { emitCoalesced } from '../../src/offload/coalesce.js';
import { emitPlain } from '../../src/offload/emit-plain.js';
import { validate } from '../../src/offload/validate.js';
import { wirePackets } from '../../src/offload/wire-packets.js';
import { makePacket, payload } from '../helpers/packet.js';
import { Ring } from '../helpers/ring.js';

/** Less than a byte a frame: one number on the heap for each of them would be 12 times as much. */
const ALLOCATED_BYTES_MAX = 1_000_000;
const FRAMES = 1_000_000;
/** The heap is looked at this often; what it grows by between two looks adds up, so that a collection in between hides nothing else. */
const LOOKS = 100;

test('a million frames, nothing allocated', () => {
  const ring = new Ring();
  for (let index = 0; index < 32; index++) {
    ring.add(makePacket({ payload: payload(18, index), partial: index % 3 > 0, sourcePort: 40_000 + (index >> 3) }));
  }
  ring.add(makePacket({ protocol: 'tcp', payload: payload(2000), gsoSize: 1000, sequence: 0x7fff_ffff }));
  ring.add(makePacket({ version: 6, payload: payload(2000), gsoSize: 1000 }));
  const { bytes, ingress, at, length, order, count, tx } = ring;
  let checked = 0;
  const pass = () => {
    for (let index = 0; index < count; index++) {
      checked += wirePackets(bytes, at[index], length[index]) - validate(bytes, at[index], length[index]);
    }
    emitCoalesced(bytes, ingress, at, length, order, count, 1, tx, true);
    emitPlain(bytes, at, length, order, count, 2, tx);
    tx.clear();
  };
  for (let warm = 0; warm < 3000; warm++) {
    pass();
  }
  checked = 0;
  const passes = Math.ceil(FRAMES / count / LOOKS);
  let allocated = 0;
  let before = process.memoryUsage().heapUsed;
  for (let look = 0; look < LOOKS; look++) {
    for (let done = 0; done < passes; done++) {
      pass();
    }
    const now = process.memoryUsage().heapUsed;
    allocated += Math.max(now - before, 0);
    before = now;
  }
  expect(checked).toBe(passes * LOOKS * (count + 2));
  expect(allocated).toBeLessThan(ALLOCATED_BYTES_MAX);
});
