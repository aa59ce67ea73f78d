/** Shapes that the API and the record on disk have in common. */
import { z } from 'zod';

export const flagShape = {
  up: z.boolean(),
  learning: z.boolean(),
  floodUnicast: z.boolean(),
  floodMulticast: z.boolean(),
  floodBroadcast: z.boolean(),
  hairpin: z.boolean(),
  isolated: z.boolean(),
  locked: z.boolean(),
  sourceGuard: z.boolean(),
};
