/** Datagrams as fast as the sender can, one datagram a frame; what arrives counts. */
import { type BenchType, type Measurement, type Trial, WARM_UP_SHARE } from '../type.js';
import { offerLoad, SMALL_PAYLOAD_BYTES } from './udp-load.js';

/** Ethernet, IPv4 and UDP headers and the frame check sequence: what RFC 2544's frame sizes have and the payload has not. */
const OVERHEAD_BYTES = 46;
/** RFC 2544, 9.1, and 1446 for a payload of 1400 bytes. */
const SIZES = [64, 128, 256, 512, 1024, 1280, 1446, 1518];
const FLOWS = [16, 256, 4096];

/** One flow, by frame size. */
export const UDP_SIZES: readonly BenchType[] = SIZES.map((size) => ({
  name: `udp-${size}`,
  family: 'udp-size',
  at: { axis: 'frame size, bytes', value: size },
  what: `UDP, ${size - OVERHEAD_BYTES}-byte payload (${size}-byte frames), one flow, delivered`,
  unit: 'kpps',
  better: 'higher',
  layer: 3,
  measure: (trial) => throughput(trial, size - OVERHEAD_BYTES, 1),
}));

/** The smallest frames, datagram by datagram of another flow. */
export const UDP_FLOWS: readonly BenchType[] = FLOWS.map((flows) => ({
  name: `udp-${flows}-flows`,
  family: 'udp-flows',
  at: { axis: 'flows', value: flows },
  what: `UDP, ${SMALL_PAYLOAD_BYTES}-byte payload, ${flows} flows that take turns datagram by datagram, delivered`,
  unit: 'kpps',
  better: 'higher',
  // The flows' source addresses are not the host's: only what looks at MAC addresses lets them through.
  layer: 2,
  warmUp: async (trial) => {
    // Their sources are on no route of b's.
    for (const name of ['all', 'eth0']) await trial.b.sysctl(`net/ipv4/conf/${name}/rp_filter`, 0);
    await offerLoad(trial, { seconds: trial.seconds * WARM_UP_SHARE, flows });
  },
  measure: (trial) => throughput(trial, SMALL_PAYLOAD_BYTES, flows),
}));

export async function throughput(trial: Trial, payloadBytes: number, flows: number, toward?: string): Promise<Measurement> {
  const load = { seconds: trial.seconds, payloadBytes, flows, ...(toward === undefined ? {} : { toward }) };
  const { deliveredKpps, delivered, delays, details } = await offerLoad(trial, load);
  return { value: deliveredKpps, units: delivered, details, delays };
}
