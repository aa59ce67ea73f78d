/**
 * Other types with the offloads of both hosts off: their kernels cut segments and sum bytes up before a frame leaves, check each that comes, and merge
 * none. Payload and order are looked at as ever.
 */
import type { BenchType } from '../type.js';
import { tcp1 } from './tcp-bulk.js';
import { UDP_FLOWS, UDP_SIZES } from './udp-throughput.js';

export const NO_OFFLOADS: readonly BenchType[] = [UDP_SIZES[0], UDP_FLOWS[0], tcp1].map(withoutOffloads);

function withoutOffloads({ at: _, ...type }: BenchType): BenchType {
  return {
    ...type,
    name: `${type.name}-no-offloads`,
    family: `${type.family}-no-offloads`,
    what: `${type.what}; offloads of both hosts off`,
    needs: [...(type.needs ?? []), { command: 'ethtool', package: 'ethtool' }],
    offloads: false,
  };
}
