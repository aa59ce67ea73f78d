/** Every check and every accessor of every wire format, on any bytes: no exception, nothing read outside what `check` has seen. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as arp from '../../src/wire/arp.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as ipv6 from '../../src/wire/ipv6.js';
import * as tcp from '../../src/wire/tcp.js';
import * as udp from '../../src/wire/udp.js';
import * as vlan from '../../src/wire/vlan.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { embed, fixtureFrames } from '../helpers/fixture.js';

type Accessor = (bytes: Uint8Array, at: number) => unknown;
type Sized = (bytes: Uint8Array, at: number, length: number) => unknown;

interface Format {
  name: string;
  check: (bytes: Uint8Array, at: number, length: number) => boolean;
  /** Safe behind `check`. */
  accessors: Accessor[];
  /** Told the length, safe behind `check`. */
  sized: Sized[];
}

const FORMATS: Format[] = [
  {
    name: 'ethernet',
    check: (_bytes, _at, length) => ethernet.check(length),
    accessors: [
      ethernet.destinationHigh,
      ethernet.destinationLow,
      ethernet.sourceHigh,
      ethernet.sourceLow,
      ethernet.etherType,
      ethernet.parse,
    ],
    sized: [vlan.vid, vlan.l3Offset, vlan.innerEtherType],
  },
  {
    name: 'arp',
    check: arp.check,
    accessors: [
      arp.operation,
      arp.senderMacHigh,
      arp.senderMacLow,
      arp.senderIp,
      arp.targetMacHigh,
      arp.targetMacLow,
      arp.targetIp,
      arp.parse,
    ],
    sized: [],
  },
  {
    name: 'ipv4',
    check: (bytes, at, length) => ipv4.check(bytes, at, length) === ipv4.Fault.none,
    accessors: [
      ipv4.version,
      ipv4.headerBytes,
      ipv4.tos,
      ipv4.totalLength,
      ipv4.identification,
      ipv4.fragmentWord,
      ipv4.headerChecksum,
      ipv4.parse,
    ],
    sized: [],
  },
  {
    name: 'ipv6',
    check: (bytes, at, length) => ipv6.check(bytes, at, length) === ipv6.Fault.none,
    accessors: [ipv6.version, ipv6.trafficClass, ipv6.flowLabel, ipv6.payloadLength, ipv6.nextHeader, ipv6.hopLimit, ipv6.parse],
    sized: [ipv6.upper],
  },
  {
    name: 'icmp',
    check: (_bytes, _at, length) => icmp.check(length),
    accessors: [icmp.type, icmp.code, icmp.checksumField, icmp.parse],
    sized: [icmp.verify],
  },
  {
    name: 'tcp',
    check: tcp.check,
    accessors: [tcp.headerBytes, tcp.flags, tcp.window, tcp.checksumField, tcp.urgentPointer, tcp.parse, tcp.parseOptions],
    sized: [],
  },
  { name: 'udp', check: udp.check, accessors: [udp.parse], sized: [] },
  {
    name: 'vnet-header',
    check: (_bytes, _at, length) => length >= vnet.HEADER_BYTES,
    accessors: [vnet.buffers, vnet.parse],
    sized: [],
  },
];

/** Everything a format says about the bytes at 16, the rest of the buffer filled with `fill`. */
function readings(format: Format, part: Uint8Array, fill: number): unknown[] {
  const bytes = embed(part, 16, fill);
  if (!format.check(bytes, 16, part.length)) {
    return [false];
  }
  return [...format.accessors.map((read) => read(bytes, 16)), ...format.sized.map((read) => read(bytes, 16, part.length))];
}

/** Bytes that pass the checks often enough to be worth reading: pieces of real frames, a few bytes changed, cut anywhere. */
const REAL = ['arp-icmp', 'udp', 'tcp', 'vlan', 'ipv6-neighbor', 'ipv6-transport'].flatMap(fixtureFrames);
const STARTS = [0, 14, 18, 34, 54];
const pieces = fc
  .tuple(
    fc.constantFrom(...REAL),
    fc.constantFrom(...STARTS),
    fc.nat(120),
    fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 2 }),
  )
  .map(([frame, start, length, changes]) => {
    const part = frame.slice(start, start + length);
    for (const [at, value] of changes) {
      if (at < part.length) {
        part[at] = value;
      }
    }
    return part;
  });

describe('accessors', () => {
  for (const format of FORMATS) {
    test(`${format.name}: total, and blind to what lies outside`, () => {
      fc.assert(
        fc.property(fc.oneof(pieces, fc.uint8Array({ maxLength: 80 })), (part) => {
          expect(readings(format, part, 0xa5)).toEqual(readings(format, part, 0x5a));
        }),
        { numRuns: 300 },
      );
    });

    test(`${format.name}: the check accepts something and refuses something`, () => {
      const verdicts = new Set(
        REAL.flatMap((frame) => STARTS.map((start) => readings(format, frame.slice(start), 0)[0] !== false)),
      );
      expect(verdicts.has(true)).toBe(true);
      expect(readings(format, new Uint8Array(0), 0)).toEqual([false]);
    });
  }
});
