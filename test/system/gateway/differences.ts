/**
 * Where tapbridge and the kernel's NAT (as a container engine sets it up) behave differently, and each is right by its own lights. Tests of this
 * folder run against both; what they expect of each stands here and nowhere else.
 */
import { ADDRESS } from '../../../src/lab/gateway-lab.js';

export const EXPECTED = {
  tapbridge: {
    /** N24, RFC 4787 REQ-9a: who reaches a published port from inside is seen by its outer mapping. */
    hairpinSource: ADDRESS.host,
    /** D.5: existing flows of an unpublished port end at once. */
    unpublishEndsFlows: true,
  },
  kernel: {
    /** docker0 masquerades hairpin traffic to the bridge's address. */
    hairpinSource: ADDRESS.gateway,
    unpublishEndsFlows: false,
  },
} as const;
