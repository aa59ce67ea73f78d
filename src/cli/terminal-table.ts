import Table from 'cli-table3';
import pc from 'picocolors';
import type { Alignment } from './table.js';

const NO_BORDER = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** A table without borders for a terminal. */
export function terminalTable(
  columns: readonly { title: string; align?: Alignment }[],
  rows: readonly string[][],
  colour: boolean,
): string {
  // Whether there are colours is the caller's decision; cli-table3's own styles would ask the environment once more.
  const { bold } = pc.createColors(colour);
  const table = new Table({
    head: columns.map(({ title }) => bold(title)),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: NO_BORDER,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...rows.map((row) => [...row]));
  const text = table.toString();
  return `${text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}
