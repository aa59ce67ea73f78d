/** A campaign as text: the headline ratios first, then a table per family, then what speaks against it. */
import { columns } from '../../dist/demo/report.js';
import type { Machine } from '../machine.js';
import type { Summary } from '../statistics.js';
import { delayTable } from './delay-table.js';
import { AGAIN } from './plan.js';
import type { Campaign, Cell } from './result.js';
import { ratioTo } from './summary.js';

/** @param bold how to mark titles; plain by default */
export function terminalReport(campaign: Campaign, bold: (text: string) => string = (text) => text): string {
  const sections = [headline(campaign, bold), ...familyTables(campaign, bold), delayTable(campaign, bold), notes(campaign, bold)];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

export function machineLines(machine: Machine): string[] {
  const { cpu, cores, virtual, memoryGib, os, kernel, node, bridgeNetfilter, congestionControl, tapbridge } = machine;
  const commit = tapbridge.commit === 'none' ? '' : ` (${tapbridge.commit.slice(0, 12)}${tapbridge.dirty ? ', changed' : ''})`;
  return [
    `${cpu}, ${cores} cores${virtual ? ' (virtual)' : ''}, ${memoryGib} GiB, ${os}, Linux ${kernel}`,
    `Node ${node}, tapbridge ${tapbridge.version}${commit}, TCP ${congestionControl}, bridge netfilter ${bridgeNetfilter}`,
  ];
}

/** Drivers that are compared with the kernel's bridge, in a line per type. */
function headline(campaign: Campaign, bold: (text: string) => string): string[] {
  const { drivers, types, trials, plan } = campaign;
  const subjects = drivers.filter(({ name, role }) => role === 'subject' && name !== plan.reference);
  const bases = drivers
    .filter(({ name, role }) => name === plan.reference || (isKernels(role) && name !== `${plan.reference}${AGAIN}`))
    .map(({ name }) => name);
  const rows = types.flatMap((type) =>
    subjects.flatMap(({ name }) => {
      const ratios = bases.map((base) => (base === name ? null : ratioTo(trials, type.name, name, base)));
      if (ratios.every((ratio) => ratio === null)) return [];
      return [[type.name, name, ...ratios.map(formatRatio), `${type.better} is better`]];
    }),
  );
  if (rows.length === 0) return [];
  const [head, ...body] = columns([['type', 'driver', ...bases.map((base) => `÷ ${base}`), ''], ...rows]);
  return [bold(head), ...body];
}

/** Whether a role is the kernel bridge's. */
function isKernels(role: string): boolean {
  return role === 'reference' || role === 'baseline';
}

function familyTables(campaign: Campaign, bold: (text: string) => string): string[][] {
  const families = [...new Set(campaign.types.map(({ family }) => family))];
  const head = [
    'type',
    'driver',
    'median',
    'interval',
    'min … max',
    'unit',
    `÷ ${campaign.plan.reference}`,
    'CPU ns/unit',
    'cores busy',
  ];
  return families.map((family) => {
    const types = campaign.types.filter((type) => type.family === family);
    const rows = types.flatMap(({ name, unit }) =>
      campaign.summary.filter(({ type }) => type === name).map((cell) => row(cell, unit, campaign.plan.reference)),
    );
    const axis = types.find(({ at }) => at !== undefined)?.at?.axis;
    const title =
      types.length === 1 ? `${types[0].name}: ${types[0].what}` : `${family}${axis === undefined ? '' : ` over ${axis}`}`;
    return [bold(title), ...columns([head, ...rows])];
  });
}

function row({ type, driver, value, ratio, cpuNanosPerUnit, busyCores }: Cell, unit: string, reference: string): string[] {
  return [
    type,
    driver,
    formatNumber(value.median),
    `${formatNumber(value.low)} … ${formatNumber(value.high)}`,
    `${formatNumber(value.min)} … ${formatNumber(value.max)}`,
    unit,
    driver === reference ? '1' : formatRatio(ratio),
    cpuNanosPerUnit.median === 0 ? '-' : formatNumber(cpuNanosPerUnit.median),
    busyCores.toFixed(2),
  ];
}

function notes({ missing, failures, objections, trials }: Campaign, bold: (text: string) => string): string[] {
  const lines: string[] = [];
  const drivers = missing.filter(({ type }) => type === undefined);
  for (const { driver, why } of drivers) lines.push(`missing: ${driver} ${why}`);
  // One line per driver and reason, however many types it concerns.
  const typesOf = new Map<string, string[]>();
  for (const { driver, type, why } of missing) {
    if (type !== undefined) typesOf.set(`${driver} ${why}`, [...(typesOf.get(`${driver} ${why}`) ?? []), type]);
  }
  for (const [what, types] of typesOf) lines.push(`missing: ${what}: ${types.join(', ')}`);
  for (const { driver, type, round, error } of failures) lines.push(`failed: ${type} ${driver}, round ${round}: ${error}`);
  const repeated = trials.filter(({ repeatedFor }) => repeatedFor !== undefined).length + failures.length;
  if (repeated > 0) lines.push(`repeated: ${repeated} of ${trials.length + failures.length} trials`);
  for (const objection of objections) lines.push(bold(`do not quote this run: ${objection}`));
  return lines;
}

/** Three digits that mean something. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  return size >= 100 || value === 0 ? value.toFixed(0) : value.toPrecision(3);
}

/** '1.42× [1.38 … 1.47]' */
export function formatRatio(ratio: Summary | null): string {
  if (ratio === null) return '-';
  const { median, low, high } = ratio;
  const digits = median >= 10 ? 1 : 2;
  return `${median.toFixed(digits)}× [${low.toFixed(digits)} … ${high.toFixed(digits)}]`;
}
