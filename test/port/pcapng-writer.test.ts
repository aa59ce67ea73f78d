import { describe, expect, test } from 'vitest';
import {
  Direction,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  packetFlags,
  sectionHeader,
} from '../../src/port/pcapng-writer.js';
import { fixtureFrames, fixtureLines } from '../helpers/fixture.js';
import { describeSystem } from '../helpers/requirements.js';
import { capinfos, tcpdumpLines, tsharkRows } from './tools.js';

/** 2026-07-01 12:34:56.123456 UTC. */
const WHEN = Date.UTC(2026, 6, 1, 12, 34, 56) * 1000 + 123_456;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{8})(?!$)/g, '$1 ');
}

describe('pcapng blocks', () => {
  test('section header: length left open, options, end mark', () => {
    expect(hex(sectionHeader())).toBe('0a0d0d0a 1c000000 4d3c2b1a 01000000 ffffffff ffffffff 1c000000');
    expect(hex(sectionHeader({ application: 'tap' }))).toBe(
      '0a0d0d0a 28000000 4d3c2b1a 01000000 ffffffff ffffffff 04000300 74617000 00000000 28000000',
    );
  });

  test('interface description: Ethernet, name, resolution', () => {
    expect(hex(interfaceDescription({ name: 'web', snapLength: 128 }))).toBe(
      '01000000 28000000 01000000 80000000 02000300 77656200 09000100 06000000 00000000 28000000',
    );
  });

  test('packet: 64-bit time in two halves, lengths, padding, no empty options', () => {
    const bytes = Uint8Array.of(1, 2, 3, 4, 5);
    expect(hex(enhancedPacket({ interface: 2, micros: 0x1_0000_0005, bytes, originalLength: 9 }))).toBe(
      '06000000 28000000 02000000 01000000 05000000 05000000 09000000 01020304 05000000 28000000',
    );
    expect(
      hex(
        enhancedPacket({
          interface: 0,
          micros: 1,
          bytes: new Uint8Array(0),
          originalLength: 9,
          flags: 0x201,
          packetId: 0x1_0000_0002,
        }),
      ),
    ).toBe(
      '06000000 38000000 00000000 00000000 01000000 00000000 09000000 02000400 01020000 05000800 02000000 01000000 00000000 38000000',
    );
  });

  test('nanoseconds: exact beyond 2^53', () => {
    const block = enhancedPacket({
      interface: 0,
      resolution: 9,
      micros: WHEN,
      nanos: 789,
      bytes: new Uint8Array(0),
      originalLength: 0,
    });
    const view = new DataView(block.buffer);
    expect((BigInt(view.getUint32(12, true)) << 32n) | BigInt(view.getUint32(16, true))).toBe(BigInt(WHEN) * 1000n + 789n);
  });

  test('a comment longer than an option ends at a character', () => {
    const block = enhancedPacket({
      interface: 0,
      micros: 0,
      bytes: new Uint8Array(0),
      originalLength: 0,
      comment: 'é'.repeat(40_000),
    });
    const view = new DataView(block.buffer);
    expect(view.getUint16(28, true)).toBe(1);
    expect(view.getUint16(30, true)).toBe(65_534);
    expect(block.length % 4).toBe(0);
    expect(view.getUint32(block.length - 4, true)).toBe(block.length);
  });

  test('flags: direction and offloads (I)', () => {
    expect(packetFlags(Direction.in, false, false, false)).toBe(1);
    expect(packetFlags(Direction.out, true, false, true)).toBe(2 | (1 << 9) | (1 << 11));
    expect(packetFlags(Direction.unknown, false, true, false)).toBe(1 << 10);
  });
});

/** A file of two ports with everything a block can say. */
function sample(): Uint8Array {
  const frames = fixtureFrames('arp-icmp');
  const chunks = [
    sectionHeader({ hardware: 'x64', os: 'Linux 6.18', application: 'tapbridge', comment: 'made by a test' }),
    interfaceDescription({ name: 'web', description: 'port web', mac: Uint8Array.of(2, 0, 0, 0, 0, 9) }),
  ];
  for (const [index, frame] of frames.entries()) {
    // The second interface appears after the first packets, as a port that is attached during a capture does.
    if (index === 1) chunks.push(interfaceDescription({ name: 'données', resolution: 9, filter: 'arp' }));
    const first = index % 2 === 0;
    chunks.push(
      enhancedPacket({
        interface: first ? 0 : 1,
        resolution: first ? 6 : 9,
        micros: WHEN + index * 1_000_000,
        nanos: first ? 0 : 789,
        bytes: frame,
        originalLength: frame.length,
        flags: packetFlags(first ? Direction.in : Direction.out, first, false, !first),
        packetId: 7 + index,
        comment: `frame=${index}`,
      }),
    );
  }
  chunks.push(
    interfaceStatistics({ interface: 0, micros: WHEN, startMicros: WHEN, endMicros: WHEN + 1, received: 5, dropped: 2 }),
  );
  chunks.push(interfaceStatistics({ interface: 1, resolution: 9, micros: WHEN, received: 4, dropped: 0 }));
  return Buffer.concat(chunks);
}

describeSystem('pcapng read by tcpdump', ['tool:tcpdump'], () => {
  test('every frame, as it reads them from the original capture', () => {
    const lines = fixtureLines('arp-icmp');
    const frames = fixtureFrames('arp-icmp');
    const chunks = [sectionHeader(), interfaceDescription({ name: 'web' })];
    for (const bytes of frames) chunks.push(enhancedPacket({ interface: 0, micros: WHEN, bytes, originalLength: bytes.length }));
    expect(tcpdumpLines(Buffer.concat(chunks), ['-e', '-S', '-t'])).toEqual(lines);
  });

  test('times in UTC', () => {
    expect(tcpdumpLines(sample(), ['-tttt', '-c', '1'])[0]).toMatch(/^2026-07-01 12:34:56\.123456 /);
  });
});

describeSystem('pcapng read by tshark', ['tool:tshark', 'tool:capinfos'], () => {
  test('names, times, directions, offload flags, packet ids and comments', () => {
    const rows = tsharkRows(sample(), [
      'frame.interface_name',
      'frame.time_epoch',
      'frame.packet_flags_direction',
      'frame.packet_flags',
      'frame.packet_id',
      'frame.comment',
    ]);
    expect(rows.length).toBe(fixtureFrames('arp-icmp').length);
    const seconds = Math.floor(WHEN / 1_000_000);
    expect(rows[0]).toEqual(['web', `${seconds}.123456000`, '0x00000001', '0x00000201', '7', 'frame=0']);
    expect(rows[1]).toEqual(['données', `${seconds + 1}.123456789`, '0x00000002', '0x00000802', '8', 'frame=1']);
  });

  test('capinfos finds nothing wrong and both interfaces with their statistics', () => {
    const text = capinfos(sample());
    expect(text).not.toMatch(/error|cut short|damaged|malformed/i);
    expect(text).toMatch(/Number of interfaces in file: 2/);
    expect(text).toMatch(/Name = web/);
    expect(text).toMatch(/Name = données/);
    expect(text).toMatch(/Capture hardware: +x64/);
    expect(text).toMatch(/Capture oper-sys: +Linux 6\.18/);
    expect(text).toMatch(/Capture application: +tapbridge/);
    expect(text).toMatch(/Capture comment: +made by a test/);
    expect(text).toMatch(/Number of stat entries = 1/);
  });
});
