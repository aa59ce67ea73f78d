/** The report's tables: every cell of the campaign, the drivers, the types, the machine. */
import { median } from '../../statistics.js';
import type { Campaign, Cell } from '../result.js';
import { type Content, type Markup, markup } from './markup.js';
import { interval, isDrawable, number, ratio, ratioInterval } from './numbers.js';
import { direction, type ReportedType, type View } from './view.js';

const COLUMNS = 10;

/** All cells, by type. */
export function cellTable(view: View): Markup {
  const groups = view.campaign.types.map((type) => {
    const rows = view.drivers.flatMap((driver) => {
      const cell = view.cell(type.name, driver);
      return cell === undefined ? [] : [cellRow(view, type, cell)];
    });
    if (rows.length === 0) return [];
    const head = markup`<tr><th scope="rowgroup" colspan="${COLUMNS}">${type.name} <span class="sub">${type.unit}, ${direction(type)}</span></th></tr>`;
    return markup`<tbody>${head}${rows}</tbody>`;
  });
  return markup`<div class="scroll"><table><thead><tr><th scope="col" class="left">driver</th><th scope="col">n</th><th scope="col">median</th><th scope="col">interval</th><th scope="col">min … max</th><th scope="col">ratio</th><th scope="col">interval</th><th scope="col">CPU ns/unit</th><th scope="col">cores</th><th scope="col">MiB</th></tr></thead>${groups}</table></div>`;
}

function cellRow(view: View, type: ReportedType, cell: Cell): Markup {
  const { value } = cell;
  return markup`<tr><th scope="row">${cell.driver}</th><td>${value.n}</td><td>${number(value.median)}</td><td>${interval(value)}</td><td>${number(value.min)} … ${number(value.max)}</td>${ratioCells(view, type, cell)}<td>${number(cell.cpuNanosPerUnit.median)}</td><td>${number(cell.busyCores)}</td><td>${cell.memoryMib > 0 ? number(cell.memoryMib) : ''}</td></tr>`;
}

const SIGNS = { better: ' ✓', worse: ' ✗', open: '' };

function ratioCells(view: View, type: ReportedType, { driver, ratio: value }: Cell): Markup {
  if (driver === view.campaign.plan.reference) return markup`<td>1</td><td></td>`;
  if (!isDrawable(value)) return markup`<td>–</td><td></td>`;
  const verdict = driver === view.again ? 'open' : view.verdict(type, value);
  return markup`<td class="${verdict}">${ratio(value.median)}${SIGNS[verdict]}</td><td>${ratioInterval(value)}</td>`;
}

/** What trials keep beside their value (lost, retransmits …), medians over the rounds. @returns null when they keep nothing */
export function detailTable(view: View, types: readonly ReportedType[]): Markup | null {
  const trialsOf = types.flatMap((type) =>
    view.drivers.map((driver) => ({ type, driver, trials: view.trials(type.name, driver) })),
  );
  const names = [...new Set(trialsOf.flatMap(({ trials }) => trials.flatMap(({ details }) => Object.keys(details))))];
  if (names.length === 0) return null;
  const rows = trialsOf.flatMap(({ type, driver, trials }) => {
    if (trials.length === 0) return [];
    const values = names.map((name) => {
      const known = trials.map(({ details }) => details[name]).filter((value) => Number.isFinite(value));
      return markup`<td>${known.length === 0 ? '' : number(median(known))}</td>`;
    });
    return [markup`<tr><th scope="row">${type.name}</th><th scope="row">${driver}</th>${values}</tr>`];
  });
  const heads = names.map((name) => markup`<th scope="col">${spaced(name)}</th>`);
  return markup`<div class="scroll"><table><thead><tr><th scope="col" class="left">type</th><th scope="col" class="left">driver</th>${heads}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

export function driverTable({ drivers }: Campaign): Markup {
  const rows = drivers.map(
    ({ name, role, what, version }) =>
      markup`<tr><th scope="row">${name}</th><td class="left">${role}</td><td class="prose">${what}</td><td class="prose">${version}</td></tr>`,
  );
  return markup`<div class="scroll"><table><thead><tr><th scope="col" class="left">driver</th><th scope="col" class="left">role</th><th scope="col" class="left">what is between the hosts</th><th scope="col" class="left">version</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

const MACHINE_NAMES: Record<string, string> = {
  cpu: 'CPU',
  memoryGib: 'memory, GiB',
  node: 'Node.js',
  v8: 'V8',
  virtual: 'under a hypervisor',
  clockSource: 'clock source',
  bridgeNetfilter: 'bridge netfilter',
  os: 'operating system',
  threadsPerCore: 'threads a core',
  commandLine: 'kernel command line',
  queueingDiscipline: 'default queueing discipline',
  congestionControl: 'TCP congestion control',
};

/** Features of eth0 on both sides. @returns null when no trial could look */
export function offloadList({ drivers }: Campaign): Markup | null {
  const known = drivers.flatMap(({ name, offloads }) => (offloads === undefined ? [] : [{ name, offloads }]));
  if (known.length === 0) return null;
  const pairs = known.map(({ name, offloads: { a, b } }) =>
    a === b ? pair(name, a) : [pair(`${name}, host a`, a), pair(`${name}, host b`, b)],
  );
  return markup`<dl>${pairs}</dl>`;
}

/** Everything that is known about the machine, whatever fields its description has. */
export function machineList(machine: object): Markup {
  return markup`<dl>${entries(machine, '')}</dl>`;
}

function entries(value: object, prefix: string): Content[] {
  return Object.entries(value).flatMap(([key, field]: [string, unknown]): Content[] => {
    const name = prefix + (Object.hasOwn(MACHINE_NAMES, key) ? MACHINE_NAMES[key] : spaced(key));
    if (Array.isArray(field)) return [pair(name, field.map(String).join(', '))];
    if (typeof field === 'object' && field !== null) return entries(field, `${name}: `);
    return [pair(name, typeof field === 'boolean' ? (field ? 'yes' : 'no') : String(field))];
  });
}

function pair(name: string, text: string): Markup {
  return markup`<dt>${name}</dt><dd>${text}</dd>`;
}

/** memoryGib: memory gib. */
function spaced(key: string): string {
  return key.replace(/(?<=[a-z0-9])(?=[A-Z])/g, ' ').toLowerCase();
}
