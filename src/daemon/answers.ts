/** How routes describe their answers, and how errors become one. */
import type { z } from '@hono/zod-openapi';
import { ControlError, type ControlErrorCode } from '../control/control-error.js';
import { SystemError } from '../native/system-error.js';
import { ErrorBody } from './schemas.js';

const STATUS = { invalid: 400, forbidden: 403, 'not-found': 404, conflict: 409, failed: 500 } as const satisfies Record<
  ControlErrorCode,
  number
>;
export type ErrorStatus = (typeof STATUS)[ControlErrorCode];

/** System errors whose meaning is known whatever was tried; the rest is 'failed'. */
const CODE_OF_ERRNO: Record<string, ControlErrorCode> = {
  EEXIST: 'conflict',
  EBUSY: 'conflict',
  EPERM: 'forbidden',
  EACCES: 'forbidden',
};

const error = (description: string) => ({ description, content: { 'application/json': { schema: ErrorBody } } });

/** Every route may answer these. */
const ERRORS = {
  400: error('The request makes no sense.'),
  403: error('The rights of the daemon do not suffice.'),
  404: error('What it names does not exist.'),
  409: error('What it would make exists, or is in use.'),
  500: error('The kernel or the engine refused.'),
};

export function json<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { 200: { description, content: { 'application/json': { schema } } }, ...ERRORS };
}

export function created<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { 201: { description, content: { 'application/json': { schema } } }, ...ERRORS };
}

export function nothing(description: string) {
  return { 204: { description }, ...ERRORS };
}

export function stream(description: string, mediaType: string) {
  const schema = { type: 'string', format: 'binary' } as const;
  return { 200: { description, content: { [mediaType]: { schema } } }, ...ERRORS };
}

/** JSON values one a line, as many as there are; `schema` is that of one line. */
export function lineStream<Schema extends z.ZodType>(schema: Schema, description: string, mediaType: string) {
  return { 200: { description, content: { [mediaType]: { schema } } }, ...ERRORS };
}

export function body<Schema extends z.ZodType>(schema: Schema) {
  return { required: true, content: { 'application/json': { schema } } } as const;
}

export function errorAnswer(error: unknown): { status: ErrorStatus; body: z.infer<typeof ErrorBody> } {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ControlError) {
    const { code, hint } = error;
    return { status: STATUS[code], body: { error: { code, message, ...(hint !== undefined && { hint }) } } };
  }
  const code = error instanceof SystemError ? (CODE_OF_ERRNO[error.code] ?? 'failed') : 'failed';
  return { status: STATUS[code], body: { error: { code, message } } };
}
