/**
 * A strict reader of the Prometheus text format (version 0.0.4): what Prometheus and promtool refuse, it throws at. Families come in one piece, HELP and
 * TYPE first, no sample twice, labels quoted and escaped, names and values in their forms.
 */

export interface ReadSample {
  labels: Record<string, string>;
  value: number;
}

export interface ReadFamily {
  type: string;
  help: string;
  samples: ReadSample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*';
const VALUE = /^(?:[+-]Inf|NaN|[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/i;

export function readExposition(text: string): Map<string, ReadFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, ReadFamily>();
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`).exec(line);
    if (comment?.[1] === 'HELP') {
      if (families.has(comment[2])) throw new Error(`${comment[2]} comes twice`);
      current = comment[2];
      families.set(current, { type: '', help: comment[3], samples: [] });
    } else if (comment?.[1] === 'TYPE') {
      const family = families.get(comment[2]);
      if (comment[2] !== current || family === undefined || family.type !== '') throw new Error(`TYPE out of its place: ${line}`);
      if (!['counter', 'gauge'].includes(comment[3])) throw new Error(`no such type: ${line}`);
      family.type = comment[3];
    } else {
      const family = families.get(current);
      const sample = readSample(line);
      if (family === undefined || family.type === '' || sample.name !== current)
        throw new Error(`a sample out of its place: ${line}`);
      const key = JSON.stringify(sample.labels);
      if (family.samples.some(({ labels }) => JSON.stringify(labels) === key)) throw new Error(`a sample comes twice: ${line}`);
      family.samples.push({ labels: sample.labels, value: sample.value });
    }
  }
  return families;
}

function readSample(line: string): ReadSample & { name: string } {
  const [, name, pairs, value] = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`).exec(line) ?? [];
  if (name === undefined || value === undefined || !VALUE.test(value)) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = pairs ?? '';
  while (rest !== '') {
    const [whole, label, quoted] = new RegExp(`^(${LABEL})="((?:[^"\\\\\\n]|\\\\["\\\\n])*)"(?:,(?=.)|$)`).exec(rest) ?? [];
    if (whole === undefined || label === undefined || quoted === undefined || label in labels)
      throw new Error(`no labels: ${line}`);
    labels[label] = quoted.replace(/\\(.)/g, (_, each: string) => (each === 'n' ? '\n' : each));
    rest = rest.slice(whole.length);
  }
  return { name, labels, value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) };
}
