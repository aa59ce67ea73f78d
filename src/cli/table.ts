/** Aligned text for pipes: no colours, two spaces between columns, so that awk and column positions both work. */
export type Alignment = 'left' | 'right';

export function plainTable(columns: readonly { title: string; align?: Alignment }[], rows: readonly string[][]): string {
  const all = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const lines = all.map((row) => {
    const cells = row.map((cell, column) =>
      columns[column].align === 'right' ? cell.padStart(widths[column]) : cell.padEnd(widths[column]),
    );
    return cells.join('  ').trimEnd();
  });
  return `${lines.join('\n')}\n`;
}
