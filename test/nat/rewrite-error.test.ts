import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GATEWAY } from '../../src/core/counters.js';
import { ErrorTranslator } from '../../src/nat/rewrite-error.js';
import * as checksum from '../../src/wire/checksum.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { AT, fillChecksum, IP, ip4, place, segment, taken, untouchedAround, verifies } from './packets.js';

const { tcp, udp, gre } = ipv4.Protocol;
const ICMP = ipv4.Protocol.icmp;
/** A container, the uplink's address, a peer, and a router on the way. */
const INNER = parseIpv4('10.9.0.2');
const OUTER = parseIpv4('192.0.2.1');
const PEER = parseIpv4('203.0.113.9');
const ROUTER = parseIpv4('198.51.100.3');
const X = 40_001;
const X_OUT = 17_000;
const Y = 53;
/** An MPLS label stack (RFC 4950) with its extension header. */
const EXTENSION = new Uint8Array([0x20, 0, 0x9a, 0x8f, 0, 8, 1, 1, 0x12, 0x34, 0x51, 0xff]);

interface ErrorParts {
  source: number;
  destination: number;
  type?: number;
  code?: number;
  /** The second word: octet 5 is the length of the quote. */
  rest?: number;
}

/** An ICMP error that holds these bytes. */
function makeError({ source, destination, type = 3, code = 3, rest = 0 }: ErrorParts, quote: Uint8Array): Uint8Array {
  const message = new Uint8Array(8 + quote.length);
  message[0] = type;
  message[1] = code;
  new DataView(message.buffer).setUint32(4, rest);
  message.set(quote, 8);
  const packet = ip4({ source, destination, protocol: ICMP }, message);
  fillChecksum(packet);
  return packet;
}

function makeQuote(source: number, destination: number, protocol: number, ports: number, headerBytes = 20): Uint8Array {
  const id = (ports & 0xffff) * 0x10001;
  const packet = ip4(
    { source, destination, protocol, headerBytes, ttl: 1 },
    segment(protocol, (protocol === ICMP ? id : ports) | 0, new Uint8Array(20).fill(7)),
  );
  fillChecksum(packet);
  return packet;
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

const errors = new ErrorTranslator();

function tuple(): unknown {
  const { source, destination, ports, kind } = errors;
  return { source, destination, ports, kind };
}

describe('ICMP errors: lookup', () => {
  test('E.6.3: the inverse of the quoted tuple, for TCP and UDP', () => {
    for (const protocol of [tcp, udp]) {
      const quote = makeQuote(OUTER, PEER, protocol, (X_OUT << 16) | Y);
      const bytes = place(makeError({ source: ROUTER, destination: OUTER }, quote));
      expect(errors.parse(bytes, AT, IP)).toBe(0);
      expect(tuple()).toEqual({ source: PEER, destination: OUTER, ports: (Y << 16) | X_OUT, kind: protocol | (4 << 8) });
    }
  });

  test('E.6.3, C2: a quoted query and its answer are of one kind', () => {
    for (const type of [8, 0]) {
      const quote = makeQuote(OUTER, PEER, ICMP, 0x0707);
      quote[20] = type;
      const bytes = place(makeError({ source: ROUTER, destination: OUTER }, quote));
      expect(errors.parse(bytes, AT, IP)).toBe(0);
      expect(tuple()).toEqual({ source: PEER, destination: OUTER, ports: 0x0707_0707, kind: 1 | (4 << 8) | (8 << 24) });
    }
  });

  test('C3: other protocols have no ports, and need no transport header in the quote', () => {
    const quote = ip4({ source: OUTER, destination: PEER, protocol: gre }, new Uint8Array(2));
    const bytes = place(makeError({ source: ROUTER, destination: OUTER }, quote));
    expect(errors.parse(bytes, AT, IP)).toBe(0);
    expect(tuple()).toEqual({ source: PEER, destination: OUTER, ports: 0, kind: gre | (4 << 8) });
  });

  test('RFC 5508 REQ-3b: options of the quoted header are skipped', () => {
    for (let headerBytes = 20; headerBytes <= 60; headerBytes += 4) {
      const quote = makeQuote(OUTER, PEER, udp, (X_OUT << 16) | Y, headerBytes);
      const bytes = place(makeError({ source: ROUTER, destination: OUTER }, quote));
      expect(errors.parse(bytes, AT, IP)).toBe(0);
      expect(errors.ports).toBe((Y << 16) | X_OUT);
    }
  });
});

describe('ICMP errors: refused', () => {
  const good = () => makeError({ source: ROUTER, destination: OUTER }, makeQuote(OUTER, PEER, udp, (X_OUT << 16) | Y));
  const parsed = (packet: Uint8Array, flags = 0) => errors.parse(place(packet, flags), AT, IP);

  test('RFC 5508 REQ-3: a wrong checksum of the message', () => {
    const bad = good();
    bad[40] ^= 1;
    expect(parsed(bad)).toBe(GATEWAY.l4_checksum);
  });

  test('RFC 5508 REQ-3a: a wrong checksum of the quoted header', () => {
    const quote = makeQuote(OUTER, PEER, udp, 1);
    quote[8] ^= 4;
    expect(parsed(makeError({ source: ROUTER, destination: OUTER }, quote))).toBe(GATEWAY.l4_checksum);
  });

  test('RFC 5508 REQ-3c: a wrong checksum of the quoted transport header is no reason', () => {
    const quote = makeQuote(OUTER, PEER, udp, 1);
    quote[26] ^= 4;
    expect(parsed(makeError({ source: ROUTER, destination: OUTER }, quote))).toBe(0);
  });

  test('E.6: types 4 and 5 and those that are no errors', () => {
    for (const type of [0, 4, 5, 8, 9, 10, 13, 40]) {
      const packet = makeError({ source: ROUTER, destination: OUTER, type }, makeQuote(OUTER, PEER, udp, 1));
      expect(parsed(packet)).toBe(GATEWAY.icmp_ignored);
    }
  });

  test('E.6.4: an error sent to somebody else than who sent the quoted packet', () => {
    expect(parsed(makeError({ source: ROUTER, destination: OUTER }, makeQuote(INNER, PEER, udp, 1)))).toBe(
      GATEWAY.icmp_unrelated,
    );
  });

  test('E.6.2: a quoted fragment behind the first, an error about an error', () => {
    const part = ip4({ source: OUTER, destination: PEER, protocol: udp, fragmentOffset: 8 }, new Uint8Array(8));
    expect(parsed(makeError({ source: ROUTER, destination: OUTER }, part))).toBe(GATEWAY.icmp_unrelated);
    const error = makeQuote(OUTER, PEER, ICMP, 1);
    error[20] = 3;
    expect(parsed(makeError({ source: ROUTER, destination: OUTER }, error))).toBe(GATEWAY.icmp_unrelated);
  });

  test('E.6.2: a quote that is short, of another version, or with a header of its own that does not fit', () => {
    const quote = makeQuote(OUTER, PEER, tcp, 1);
    for (const length of [0, 19, 20, 27]) {
      expect(parsed(makeError({ source: ROUTER, destination: OUTER }, quote.slice(0, length)))).toBe(GATEWAY.l4_malformed);
    }
    for (const first of [0x65, 0x44, 0x4f]) {
      const wrong = makeQuote(OUTER, PEER, tcp, 1).slice(0, 28);
      wrong[0] = first;
      expect(parsed(makeError({ source: ROUTER, destination: OUTER }, wrong))).toBe(GATEWAY.l4_malformed);
    }
  });

  test('a quoted length that leaves no room for the ports', () => {
    const quote = ip4({ source: OUTER, destination: PEER, protocol: udp }, new Uint8Array(4));
    const padded = join(quote, new Uint8Array(100));
    expect(parsed(makeError({ source: ROUTER, destination: OUTER }, padded))).toBe(GATEWAY.l4_malformed);
    const rest = 6 << 16;
    expect(parsed(makeError({ source: ROUTER, destination: OUTER, rest }, makeQuote(OUTER, PEER, udp, 1)))).toBe(
      GATEWAY.l4_malformed,
    );
  });

  test('E.6.1: an unfinished checksum is finished, one of something else refused', () => {
    const packet = good();
    packet.fill(0, 22, 24);
    const bytes = place(packet, vnet.Flag.needsChecksum);
    expect(errors.parse(bytes, AT, IP)).toBe(0);
    expect(vnet.flags(bytes, AT - vnet.HEADER_BYTES)).toBe(0);
    expect(taken(bytes)).toEqual(good());
    const liar = place(good(), vnet.Flag.needsChecksum);
    vnet.write(liar, AT - vnet.HEADER_BYTES, 1, 0, 0, 0, 14, 12);
    expect(errors.parse(liar, AT, IP)).toBe(GATEWAY.l4_checksum);
    expect(taken(liar)).toEqual(good());
  });

  test('any bytes: a named reason or none, nothing thrown, nothing written', () => {
    const reasons = new Set([0, GATEWAY.l4_malformed, GATEWAY.l4_checksum, GATEWAY.icmp_ignored, GATEWAY.icmp_unrelated]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(3, 11, 12), fc.boolean(), (body, type, fixed) => {
        if (body.length > 28 && fixed) {
          body[8] = 0x45 | (body[8] & 0x0f);
          ipv4.fillHeaderChecksum(body, 8);
        }
        body[0] = type;
        const packet = ip4({ source: ROUTER, destination: OUTER, protocol: ICMP }, body);
        if (body.length >= 8) fillChecksum(packet);
        const bytes = place(packet);
        expect(reasons.has(errors.parse(bytes, AT, IP))).toBe(true);
        expect(taken(bytes)).toEqual(packet);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('ICMP errors: translated', () => {
  /** Translates an error and gives the packet it has become. */
  function translate(
    packet: Uint8Array,
    outer: readonly [number, number],
    inner: readonly [number, number, number],
    flags = 0,
  ): Uint8Array {
    const bytes = place(packet, flags);
    expect(errors.parse(bytes, AT, IP)).toBe(0);
    errors.translate(bytes, AT, IP, outer[0], outer[1], inner[0], inner[1], inner[2]);
    expect(untouchedAround(bytes)).toBe(true);
    expect(vnet.flags(bytes, AT - vnet.HEADER_BYTES)).toBe(0);
    return taken(bytes);
  }

  test('RFC 5508 REQ-4: from outside, every field, for TCP, UDP and ICMP quotes; type, code and MTU kept', () => {
    for (const protocol of [tcp, udp, ICMP]) {
      const outside = protocol === ICMP ? X_OUT : (X_OUT << 16) | Y;
      const inside = protocol === ICMP ? X * 0x10001 : (X << 16) | Y;
      for (const [type, code, rest] of [
        [3, 3, 0],
        [3, 4, 1400],
        [11, 0, 0],
        [12, 0, 0x1400_0000],
      ]) {
        const error = { type, code, rest };
        const before = makeError({ source: ROUTER, destination: OUTER, ...error }, makeQuote(OUTER, PEER, protocol, outside));
        const after = translate(before, [ROUTER, INNER], [INNER, PEER, inside | 0], vnet.Flag.dataValid);
        const quote = makeQuote(INNER, PEER, protocol, protocol === ICMP ? X : inside);
        expect(after).toEqual(makeError({ source: ROUTER, destination: INNER, ...error }, quote));
      }
    }
  });

  test('RFC 5508 REQ-5: from inside, about a packet to a published port: the quote as the client sent it', () => {
    const before = makeError({ source: INNER, destination: PEER }, makeQuote(PEER, INNER, udp, (5000 << 16) | 8080));
    const after = translate(before, [OUTER, PEER], [PEER, OUTER, (5000 << 16) | 80]);
    expect(after).toEqual(makeError({ source: OUTER, destination: PEER }, makeQuote(PEER, OUTER, udp, (5000 << 16) | 80)));
  });

  test('RFC 5508 REQ-7: hairpinned: both addresses, inside and out', () => {
    const other = parseIpv4('10.9.0.3');
    const before = makeError({ source: other, destination: OUTER }, makeQuote(OUTER, other, udp, (X_OUT << 16) | 8080));
    const after = translate(before, [OUTER, INNER], [INNER, OUTER, (X << 16) | 80]);
    expect(after).toEqual(makeError({ source: OUTER, destination: INNER }, makeQuote(INNER, OUTER, udp, (X << 16) | 80)));
  });

  test('E.6.8: a quote of 8 bytes of TCP: its checksum is not there and nothing else is written for it', () => {
    const whole = makeQuote(OUTER, PEER, tcp, (X_OUT << 16) | Y);
    const expected = makeQuote(INNER, PEER, tcp, (X << 16) | Y);
    for (const length of [28, 30, 36, 37, 38, 40]) {
      const after = translate(
        makeError({ source: ROUTER, destination: OUTER }, whole.slice(0, length)),
        [ROUTER, INNER],
        [INNER, PEER, (X << 16) | Y],
      );
      const quote = expected.slice(0, length);
      // Cut in the middle of the field: its first byte stays as it came.
      if (length === 37) quote[36] = whole[36];
      expect(after).toEqual(makeError({ source: ROUTER, destination: INNER }, quote));
    }
  });

  test('E.6.8: a quoted UDP checksum of 0 stays 0, one that comes out as 0 is 0xffff', () => {
    const none = makeQuote(OUTER, PEER, udp, (X_OUT << 16) | Y);
    none.fill(0, 26, 28);
    const after = translate(
      makeError({ source: ROUTER, destination: OUTER }, none),
      [ROUTER, INNER],
      [INNER, PEER, (X << 16) | Y],
    );
    expect([after[54], after[55]]).toEqual([0, 0]);
    expect(verifies(after)).toBe(true);

    const target = makeQuote(INNER, PEER, udp, (X << 16) | Y);
    const l4 = target.length - 20;
    const sum = checksum.sum(target, 20, l4, checksum.pseudoIpv4(target, 0, udp, l4));
    const field = (target[26] << 8) | target[27];
    // Data whose checksum is 0xffff, the written form of 0.
    const last = (target[46] << 8) | target[47];
    const word = checksum.fold(last + field + 0xffff - sum + 0xffff);
    const quote = makeQuote(OUTER, PEER, udp, (X_OUT << 16) | Y);
    for (const each of [target, quote]) {
      each[46] = word >>> 8;
      each[47] = word;
      fillChecksum(each);
    }
    expect([target[26], target[27]]).toEqual([0xff, 0xff]);
    const zero = translate(
      makeError({ source: ROUTER, destination: OUTER }, quote),
      [ROUTER, INNER],
      [INNER, PEER, (X << 16) | Y],
    );
    expect(zero).toEqual(makeError({ source: ROUTER, destination: INNER }, target));
  });

  test('RFC 5508 REQ-3d, RFC 4884: padding and extension objects survive byte-exact', () => {
    for (const protocol of [tcp, udp, ICMP]) {
      const ports = protocol === ICMP ? X_OUT : (X_OUT << 16) | Y;
      const inside = protocol === ICMP ? X : (X << 16) | Y;
      const frame = (quote: Uint8Array) => join(quote, new Uint8Array(128 - quote.length), EXTENSION);
      const rest = (128 / 4) << 16;
      const before = makeError(
        { source: ROUTER, destination: OUTER, type: 11, code: 0, rest },
        frame(makeQuote(OUTER, PEER, protocol, ports)),
      );
      const embedded = protocol === ICMP ? X * 0x10001 : inside;
      const after = translate(before, [ROUTER, INNER], [INNER, PEER, embedded | 0]);
      expect(after.slice(-EXTENSION.length)).toEqual(EXTENSION);
      const quote = frame(makeQuote(INNER, PEER, protocol, inside));
      expect(after).toEqual(makeError({ source: ROUTER, destination: INNER, type: 11, code: 0, rest }, quote));
    }
  });

  test("RFC 4884: an extension is never taken for the quote's checksum", () => {
    // 28 bytes of quote announced: the TCP checksum would lie in what follows.
    const short = makeQuote(OUTER, PEER, tcp, (X_OUT << 16) | Y).slice(0, 28);
    const packet = makeError({ source: ROUTER, destination: OUTER, rest: 7 << 16 }, join(short, EXTENSION, EXTENSION));
    const after = translate(packet, [ROUTER, INNER], [INNER, PEER, (X << 16) | Y]);
    expect(after.slice(56)).toEqual(join(EXTENSION, EXTENSION));
  });

  test('RFC 5508 REQ-3c: a quoted checksum that was wrong stays wrong by as much', () => {
    const quote = makeQuote(OUTER, PEER, udp, (X_OUT << 16) | Y);
    quote[26] ^= 0x40;
    const after = translate(
      makeError({ source: ROUTER, destination: OUTER }, quote),
      [ROUTER, INNER],
      [INNER, PEER, (X << 16) | Y],
    );
    expect(icmp.verify(after, 20, after.length - 20)).toBe(true);
    expect(verifies(after.slice(28))).toBe(false);
  });
});
