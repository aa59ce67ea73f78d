/**
 * One accessor of src/wire, alone in its process so that its call site sees no other: 1,024 headers as they lie in the arena; per header.
 * Argument: file and accessor, "tcp.sequence" or "tcp.setSequence"; "nothing" for the loop around them.
 */
import { fieldNames, type Reader, type Setter, WIRE_FILES } from './fields.js';
import { makeRig } from './frames.js';
import { expectEqual, measure } from './measure.js';

const HEADERS = 1024;
const ROUNDS = 16;
const SLOT_BYTES = 128;
/** Of a frame: behind its vnet header, at 2 mod 4. */
const FRAME = 14;
const VALUES = 128;
const variant = process.argv[2] ?? fieldNames()[0];
const [fileName, name] = variant === 'nothing' ? ['ethernet', ''] : variant.split('.');
const file = WIRE_FILES[fileName];

const { bytes } = makeRig(2).batch;
const offsets = Int32Array.from({ length: HEADERS }, (_, index) => index * SLOT_BYTES + FRAME + file.offset);
offsets.forEach((at, index) => {
  file.emit(bytes, at, index % VALUES);
});
const { length } = file;

/** What is left of a measurement when the accessor is taken away. */
const nothing: Reader = (_bytes, at) => at;

function measureReader(read: Reader): void {
  const round = (): number => {
    let sum = 0;
    for (let index = 0; index < HEADERS; index++) sum = (sum + Number(read(bytes, offsets[index], length))) | 0;
    return sum;
  };
  let total = 0;
  measure({
    units: HEADERS * ROUNDS,
    run() {
      for (let count = 0; count < ROUNDS; count++) total = (total + round()) | 0;
    },
    check(runs) {
      const expected = BigInt.asIntN(32, BigInt(round()) * BigInt(runs) * BigInt(ROUNDS));
      expectEqual('sum of what was read', total, Number(expected));
    },
  });
}

function measureSetter(set: Setter, read: Reader): void {
  measure({
    units: HEADERS * ROUNDS,
    run() {
      for (let count = 0; count < ROUNDS; count++) {
        for (let index = 0; index < HEADERS; index++) {
          const value = (index + count) % VALUES;
          set(bytes, offsets[index], value, value, value);
        }
      }
    },
    check() {
      for (let index = 0; index < HEADERS; index++) {
        expectEqual(`header ${index}`, Number(read(bytes, offsets[index], length)), (index + ROUNDS - 1) % VALUES);
      }
    },
  });
}

const reader = variant === 'nothing' ? nothing : file.readers.find((each) => each.name === name);
const setter = file.setters.find(([each]) => each.name === name);
if (reader !== undefined) measureReader(reader);
else if (setter !== undefined) measureSetter(...setter);
else throw new Error(`there is no accessor ${variant}`);
