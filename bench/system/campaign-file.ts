/**
 * Campaigns as files. Written whole or not at all; read with suspicion, because people compare files that others sent them: what is not a
 * campaign, or carries control characters into a terminal, is refused with the place.
 */
import { accessSync, constants, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { printable, UNPRINTABLE } from '../tool-version.js';
import type { Campaign } from './result.js';

const MAX_BYTES = 256 * 1024 * 1024;

const text = z
  .string()
  .max(10_000)
  .refine((value) => !UNPRINTABLE.test(value), 'has control characters');
const number = z.number();
const count = z.number().int().min(0);
const textByName = z.record(text, text);

const summary = z.object({ median: number, low: number, high: number, confidence: number, min: number, max: number, n: count });
const curve = z.object({ x: text, y: text, points: z.array(z.tuple([number, number])) });

const campaign = z.object({
  format: z.literal(1),
  machine: z.object({
    cpu: text,
    cores: number,
    memoryGib: number,
    kernel: text,
    node: text,
    v8: text,
    virtual: z.boolean(),
    clockSource: text,
    bridgeNetfilter: text,
    started: text,
    os: text,
    threadsPerCore: number,
    frequencyGovernor: text,
    commandLine: text,
    mitigations: textByName,
    congestionControl: text,
    queueingDiscipline: text,
    backlog: text,
    tapbridge: z.object({ version: text, commit: text, dirty: z.boolean(), addon: text }),
    tools: textByName,
  }),
  plan: z.object({ rounds: count, seconds: number, reference: text, command: text }),
  drivers: z.array(
    z.object({ name: text, role: text, what: text, version: text, offloads: z.object({ a: text, b: text }).exactOptional() }),
  ),
  types: z.array(
    z.object({
      name: text,
      family: text,
      at: z.object({ axis: text, value: number }).exactOptional(),
      what: text,
      unit: text,
      better: z.enum(['higher', 'lower']),
    }),
  ),
  missing: z.array(z.object({ driver: text, type: text.exactOptional(), why: text })),
  failures: z.array(z.object({ driver: text, type: text, round: count, error: text })),
  objections: z.array(text),
  trials: z.array(
    z.object({
      driver: text,
      type: text,
      round: count,
      value: number,
      units: number,
      details: z.record(
        text,
        number.nullable().transform((value) => value ?? Number.NaN),
      ),
      delays: z.array(z.tuple([number, number])).exactOptional(),
      curve: curve.exactOptional(),
      cpuNanosPerUnit: number,
      busyCores: number,
      steal: number,
      foreignCores: number,
      repeatedFor: text.exactOptional(),
      memoryMib: number,
    }),
  ),
  summary: z.array(
    z.object({
      type: text,
      driver: text,
      value: summary,
      ratio: summary.nullable(),
      cpuNanosPerUnit: summary,
      busyCores: number,
      memoryMib: number,
    }),
  ),
});

/** @throws Error with the file and the place in it */
export function parseCampaign(source: string, file: string): Campaign {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (cause) {
    throw new Error(`${file} is not JSON`, { cause });
  }
  const { success, data, error } = campaign.safeParse(value);
  if (success) return data;
  const [{ path, message }] = error.issues;
  const place = printable(path.map(String).join('.')).slice(0, 200);
  throw new Error(`${file} is no result of tapbridge bench: ${place === '' ? '' : `${place}: `}${message}`);
}

/** @throws Error */
export function readCampaign(file: string): Campaign {
  let source: string;
  try {
    if (statSync(file).size > MAX_BYTES) throw new Error('it is too large for a result of tapbridge bench');
    source = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Error(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  return parseCampaign(source, file);
}

export function campaignJson(result: Campaign): string {
  return `${JSON.stringify(result, null, 1)}\n`;
}

/** Before hours of measuring: whether the result can be written. @throws Error */
export function checkWritable(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK);
    if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) throw new Error('it is a directory');
  } catch (cause) {
    throw new Error(`cannot write ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** Beside its place first, then at once in it. @throws Error */
export function writeWhole(file: string, content: string): void {
  const draft = join(dirname(file), `.${basename(file)}.${process.pid}`);
  try {
    writeFileSync(draft, content);
    renameSync(draft, file);
  } catch (cause) {
    if (existsSync(draft)) rmSync(draft);
    throw new Error(`cannot write ${file}: ${(cause as Error).message}`, { cause });
  }
}
