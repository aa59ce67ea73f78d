/** What of an IPv4 header a router looks at before all else (C.1). */
import type { Batch } from '../core/batch.js';
import { GATEWAY } from '../core/counters.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';

/** RFC 791, 3.1. */
const Option = { end: 0, nop: 1, looseSourceRoute: 131, strictSourceRoute: 137 } as const;

/** An address no packet on a link comes from (R3): this network, loopback, multicast, reserved, broadcast. */
function isMartianSource(address: number): boolean {
  const first = address >>> 24;
  return first === 0 || first === 127 || first >= 224;
}

/** Multicast, and 255.255.255.255. */
export function isGroup(address: number): boolean {
  return address >>> 28 === 0xe || address === -1;
}

/** R2, R3, R5; cuts the padding off. Returns the counter of a drop, or 0. */
export function checkHeader(batch: Batch, frame: number, ip: number): number {
  const { bytes } = batch;
  if (ipv4.check(bytes, ip, batch.length[frame] - ethernet.HEADER_BYTES) !== 0) {
    return GATEWAY.ip_malformed;
  }
  batch.length[frame] = ethernet.HEADER_BYTES + ipv4.totalLength(bytes, ip);
  const destination = ipv4.destination(bytes, ip);
  const net = destination >>> 24;
  if (isMartianSource(ipv4.source(bytes, ip)) || net === 0 || net === 127 || (net >= 240 && destination !== -1)) {
    return GATEWAY.ip_martian;
  }
  const end = ip + ipv4.headerBytes(bytes, ip);
  for (let option = ip + ipv4.HEADER_BYTES; option < end; ) {
    const kind = bytes[option];
    if (kind === Option.looseSourceRoute || kind === Option.strictSourceRoute) {
      return GATEWAY.ip_option;
    }
    if (kind === Option.end) {
      break;
    }
    const step = kind === Option.nop ? 1 : option + 1 < end ? bytes[option + 1] : 0;
    if (step === 0) {
      return GATEWAY.ip_malformed;
    }
    option += step;
  }
  return 0;
}
