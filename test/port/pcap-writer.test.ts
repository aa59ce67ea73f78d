import { describe, expect, test } from 'vitest';
import { pcapHeader, pcapRecord } from '../../src/port/pcap-writer.js';
import { fixtureFrames, fixtureLines } from '../helpers/fixture.js';
import { describeSystem } from '../helpers/requirements.js';
import { rewriteByTcpdump, tcpdumpLines } from './tools.js';

const WHEN = 1_790_000_000_123_456;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{8})(?!$)/g, '$1 ');
}

function file(name: string, resolution: 6 | 9): Uint8Array {
  const records = fixtureFrames(name).map((bytes) =>
    pcapRecord({ micros: WHEN, nanos: 789, bytes, originalLength: bytes.length }, resolution),
  );
  return Buffer.concat([pcapHeader(resolution), ...records]);
}

describe('pcap', () => {
  test('header: version 2.4, Ethernet, magic of the resolution', () => {
    expect(hex(pcapHeader())).toBe('d4c3b2a1 02000400 00000000 00000000 00000400 01000000');
    expect(hex(pcapHeader(9, 96))).toBe('4d3cb2a1 02000400 00000000 00000000 60000000 01000000');
  });

  test('record: seconds and fraction, captured and original length', () => {
    const record = { micros: 5_000_007, nanos: 9, bytes: Uint8Array.of(1, 2, 3), originalLength: 60 };
    expect(hex(pcapRecord(record))).toBe('05000000 07000000 03000000 3c000000 010203');
    expect(hex(pcapRecord(record, 9))).toBe('05000000 611b0000 03000000 3c000000 010203');
  });
});

describeSystem('pcap read by tcpdump', ['tool:tcpdump'], () => {
  test.each(['arp-icmp', 'tcp', 'udp', 'vlan'])('%s: as it reads the original capture', (name) => {
    expect(tcpdumpLines(file(name, 6), ['-e', '-S', '-t'])).toEqual(fixtureLines(name));
  });

  test('microseconds and nanoseconds', () => {
    expect(tcpdumpLines(file('udp', 6), ['-tt', '-c', '1'])[0]).toMatch(/^1790000000\.123456 /);
    expect(tcpdumpLines(file('udp', 9), ['-tt', '-c', '1', '--time-stamp-precision=nano'])[0]).toMatch(/^1790000000\.123456789 /);
  });

  test('libpcap writes the same bytes', () => {
    expect(hex(rewriteByTcpdump(file('tcp', 6)))).toBe(hex(file('tcp', 6)));
    expect(hex(rewriteByTcpdump(file('tcp', 9), true))).toBe(hex(file('tcp', 9)));
  });
});
