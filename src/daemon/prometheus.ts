/**
 * The Prometheus text exposition format, version 0.0.4.
 *
 *     # HELP tapbridge_port_drops_total Frames that ended at the port, by reason.
 *     # TYPE tapbridge_port_drops_total counter
 *     tapbridge_port_drops_total{bridge="tb0",port="web",reason="tx_full"} 3
 *
 * Our own, in place of prom-client: that library counts by itself, in a map of label texts for each metric, and would be filled anew at each scrape from
 * counters that lie in shared memory already; what is left of it then is this file. prom-client's last release is of 2024.
 */

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Values of the labels in the order of the family's names. */
export interface Sample {
  labels: readonly string[];
  value: number;
}

export interface Family {
  name: string;
  type: 'counter' | 'gauge';
  help: string;
  labels: readonly string[];
}

/** Families without samples are left out: one without labels would look as if its value were unknown. */
export function exposition(families: Iterable<readonly [Family, readonly Sample[]]>): string {
  const lines: string[] = [];
  for (const [{ name, type, help, labels }, samples] of families) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`);
    for (const { labels: values, value } of samples) {
      const pairs = labels.map((label, index) => `${label}="${escaped(values[index])}"`).join();
      lines.push(`${name}${pairs === '' ? '' : `{${pairs}}`} ${numberText(value)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (each) => (each === '\n' ? '\\n' : `\\${each}`));
}

/** As Go's ParseFloat reads it. */
function numberText(value: number): string {
  return value === Number.POSITIVE_INFINITY ? '+Inf' : value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}
