/** A configuration that makes bridges at start, in the terms of the API. */
import { z } from 'zod';
import { Settings } from './config.js';
import { AttachPort, CreateBridge } from './schemas.js';
import { AddPublish } from './schemas-gateway.js';

export const ConfigWithBridges = Settings.extend({
  bridges: z
    .array(CreateBridge.extend({ ports: z.array(AttachPort).optional(), publishes: z.array(AddPublish).optional() }))
    .optional(),
});
export type ConfigWithBridges = z.infer<typeof ConfigWithBridges>;
