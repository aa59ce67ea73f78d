/** A view of all of `bytes`: the remembered one when it is that already, so that steady state makes none. */
export function viewOf(remembered: DataView | null, bytes: Uint8Array): DataView {
  return remembered !== null && remembered.buffer === bytes.buffer && remembered.byteOffset === bytes.byteOffset
    ? remembered
    : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** From here on a copy through short-lived views wins. */
const VIEW_BYTES_MIN = 256;

/**
 * Copies between two pieces of memory: out of the arena what must outlive its batch, and back into it.
 *
 * Measured, Node 20, nanoseconds for 76 / 1,512 / 60,000 bytes: byte loop 157 / 2,400 / 94,000; this loop of 32-bit words over
 * DataViews 51 / 587 / 23,000; `set(subarray())` 53 / 55 / 1,160. The last is a memmove but makes two small objects a call. So short
 * frames, the many ones, make no garbage, and long ones pay with garbage for a tenfold faster copy. Plain forwarding copies nothing.
 */
export function copyBytes(to: DataView, toAt: number, from: DataView, fromAt: number, length: number): void {
  if (length >= VIEW_BYTES_MIN) {
    const source = new Uint8Array(from.buffer, from.byteOffset + fromAt, length);
    new Uint8Array(to.buffer, to.byteOffset + toAt, length).set(source);
    return;
  }
  const whole = length & ~7;
  let index = 0;
  for (; index < whole; index += 8) {
    to.setInt32(toAt + index, from.getInt32(fromAt + index, true), true);
    to.setInt32(toAt + index + 4, from.getInt32(fromAt + index + 4, true), true);
  }
  for (; index < length; index++) {
    to.setUint8(toAt + index, from.getUint8(fromAt + index));
  }
}
