/** The Internet checksum (RFC 1071) of one piece; argument: its bytes (20: an IP header, 1460: a TCP segment, 65000: a super-frame). */
import { Random } from '../../dist/core/random.js';
import { checksum, sum } from '../../dist/wire/checksum.js';
import { expectEqual, measure } from './measure.js';

const length = Number(process.argv[2] ?? '1460');
const PIECES = Math.max(16, Math.ceil(100_000 / length));
const random = new Random(3);
const bytes = Uint8Array.from({ length: length + 64 }, () => random.next() & 0xff);
// 2 mod 4 as an IP header behind an Ethernet header of the arena is not, and 0 mod 4 as it is.
const AT = 16;
let total = 0;

measure({
  units: PIECES,
  run() {
    for (let piece = 0; piece < PIECES; piece++) total = (total + checksum(bytes, AT, length)) | 0;
  },
  check(runs) {
    const once = ~sum(bytes, AT, length, 0) & 0xffff;
    expectEqual('sum of all checksums', total, Number(BigInt.asIntN(32, BigInt(once) * BigInt(runs) * BigInt(PIECES))));
  },
});
