/** What the schemas of several routes are made of. */
import { z } from '@hono/zod-openapi';
import { CONTAINER_ENGINES, NETWORK_ENGINES } from '../control/model.js';

/** Any text that is not empty, with an upper bound: what it means is checked by control/. */
export const text = (example: string) => z.string().min(1).max(4096).openapi({ example });

export const counters = <Name extends string>(names: readonly Name[]) =>
  z.strictObject(Object.fromEntries(names.map((name) => [name, z.number()])) as Record<Name, z.ZodNumber>);

const label = { id: text('4f1c2b7d90aa'), name: text('web').nullable() };
export const container = z.strictObject({ engine: z.enum(CONTAINER_ENGINES), ...label });
export const network = z.strictObject({ engine: z.enum(NETWORK_ENGINES), ...label });

/** A parameter of the path. */
export const name = (param: string) =>
  z
    .string()
    .min(1)
    .max(256)
    .openapi({ param: { name: param, in: 'path' } });
