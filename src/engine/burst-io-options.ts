import type { BurstIoOptions } from '../native/binding.js';

/** Burst I/O as the engine wants it. */
export function burstIoOptions(maxPorts: number): BurstIoOptions {
  return {
    arenaBytes: 4 << 20,
    receiveBytes: 2 << 20,
    // Whatever the ports send, there is room for ARP answers, delayed frames and ports in TypeScript.
    batchFrames: 1280,
    receiveFrames: 1024,
    // So few that what was read is still in the second-level cache when it is written (docs/performance.md).
    batchBytes: 256 << 10,
    // So many that interleaved flows have several datagrams each to merge (docs/performance.md); super-frames are bounded by the arena.
    burstFrames: 512,
    transmitWords: 1 << 15,
    maxPorts,
  };
}
