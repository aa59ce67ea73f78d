/** What there is to measure: --list. */
import { columns } from '../../dist/demo/report.js';
import { DEFAULT_DRIVERS, DEFAULT_TYPES, DRIVERS, QUICK_TYPES, setOf, TYPES } from './matrix.js';
import { absence } from './plan.js';

export function listing(bold: (text: string) => string = (text) => text): string {
  const drivers = DRIVERS.map((driver) => [
    driver.name,
    driver.role,
    setOf(driver) !== 'bridge' ? `set ${setOf(driver)}` : DEFAULT_DRIVERS.includes(driver.name) ? 'default' : '',
    driver.maxPorts > 2 ? `up to ${driver.maxPorts} ports` : '2 ports',
    driver.what,
    absence(driver) ?? '',
  ]);
  const types = TYPES.map(({ name, family, unit, better, what }) => [
    name,
    family,
    [DEFAULT_TYPES.includes(name) ? 'default' : '', QUICK_TYPES.includes(name) ? 'quick' : '']
      .filter((each) => each !== '')
      .join(', '),
    unit,
    better,
    what,
  ]);
  const table = (head: string[], rows: string[][]): string => {
    const [first, ...lines] = columns([head, ...rows]);
    return [bold(first), ...lines].join('\n');
  };
  return `${table(['driver', 'role', '', 'ports', 'what', 'missing'], drivers)}\n\n${table(['type', 'family', '', 'unit', 'better', 'what'], types)}\n`;
}
