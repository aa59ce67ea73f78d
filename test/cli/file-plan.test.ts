/** Installing and removing files of ours: what is planned, done, left alone and undone. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dockerFiles } from '../../src/cli/docker-command.js';
import { carryOut, isSealed, type OwnFile, planInstall, planRemoval, planText, sealed } from '../../src/cli/file-plan.js';
import { lineDifference } from '../../src/cli/line-difference.js';

const COMMAND = ['/usr/bin/node', '/usr/lib/tapbridge/dist/cli/main.js'];
const UNIT = '/etc/systemd/system/tapbridge.service';
const SPEC = '/etc/docker/plugins/tapbridge.spec';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tapbridge-plan-'));
});

afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const text = (path: string) => readFileSync(join(root, path), 'utf8');
const files = (name = 'tapbridge', command: readonly string[] = COMMAND) => dockerFiles(name, command);
const install = (wanted: readonly OwnFile[] = files()) => carryOut(planInstall(wanted, root));
const actions = (steps: ReturnType<typeof planInstall>) => steps.map(({ action }) => action);

describe('install', () => {
  test('writes what is missing, whatever the umask', () => {
    const before = process.umask(0o077);
    try {
      expect(actions(planInstall(files(), root))).toEqual(['create', 'create']);
      install();
    } finally {
      process.umask(before);
    }
    expect(text(SPEC)).toBe('unix:///run/docker/plugins/tapbridge.sock\n');
    expect(statSync(join(root, SPEC)).mode & 0o777).toBe(0o644);
    expect(text(UNIT)).toContain(
      '\nExecStart=/usr/bin/node /usr/lib/tapbridge/dist/cli/main.js daemon --docker tapbridge --on-stop keep\n',
    );
    expect(readdirSync(join(root, dirname(UNIT)))).toEqual(['tapbridge.service']);
  });

  test('does nothing the second time', () => {
    install();
    expect(actions(planInstall(files(), root))).toEqual(['same', 'same']);
  });

  test('takes a unit of another version for its own, and shows the difference', () => {
    install(files('tapbridge', ['/opt/node', COMMAND[1]]));
    const steps = planInstall(files(), root);
    expect(actions(steps)).toEqual(['same', 'replace']);
    expect(planText(steps)).toContain('    -ExecStart=/opt/node ');
    expect(planText(steps)).toContain('    +ExecStart=/usr/bin/node ');
    expect(planText(steps)).toContain('     Restart=always\n');
    carryOut(steps);
    expect(actions(planInstall(files(), root))).toEqual(['same', 'same']);
  });

  test('does not take a changed one for its own, nor one of another driver', () => {
    install();
    put(UNIT, text(UNIT).replace('PrivateTmp=yes', 'PrivateTmp=no'));
    put(SPEC, 'unix:///run/other.sock\n');
    expect(actions(planInstall(files(), root))).toEqual(['changed', 'changed']);
    rmSync(join(root, UNIT));
    install(files('other').slice(1));
    expect(actions(planInstall(files(), root))).toEqual(['changed', 'changed']);
  });

  test('all of it or nothing', () => {
    put(SPEC, 'unix:///run/docker/plugins/tapbridge.sock');
    // Where the unit's directory would be.
    put('/etc/systemd', 'a file');
    const before = text(SPEC);
    const steps = planInstall([...files().slice(0, 1), { ...files()[0], path: '/new/folder/x.spec' }], root);
    steps.push({ action: 'create', file: files()[1], place: join(root, UNIT), found: null });
    expect(() => carryOut(steps)).toThrow();
    expect(text(SPEC)).toBe(before);
    expect(existsSync(join(root, 'new'))).toBe(false);
  });

  test('what is no plain file is not written through', () => {
    put('/target', 'precious');
    mkdirSync(join(root, dirname(SPEC)), { recursive: true });
    symlinkSync(join(root, 'target'), join(root, SPEC));
    expect(() => planInstall(files(), root)).toThrow('is not a plain file');
    // A link left where the new text is prepared.
    rmSync(join(root, SPEC));
    symlinkSync(join(root, 'target'), join(root, `${SPEC}.tapbridge-new`));
    install();
    expect(text('/target')).toBe('precious');
    expect(text(SPEC)).toMatch(/^unix:/);
  });
});

describe('uninstall', () => {
  test('removes what is as it was written', () => {
    install();
    const steps = planRemoval(files(), root);
    expect(actions(steps)).toEqual(['remove', 'remove']);
    carryOut(steps);
    expect([existsSync(join(root, SPEC)), existsSync(join(root, UNIT))]).toEqual([false, false]);
    expect(actions(planRemoval(files(), root))).toEqual(['absent', 'absent']);
  });

  test('leaves what was changed, and says so', () => {
    install();
    put(UNIT, `${text(UNIT)}# mine\n`);
    const steps = planRemoval(files(), root);
    expect(actions(steps)).toEqual(['remove', 'leave']);
    expect(planText(steps)).toContain(`leave ${join(root, UNIT)}`);
    carryOut(steps);
    expect(text(UNIT)).toContain('# mine');
  });

  test('puts back what it removed when it cannot go on', () => {
    install();
    const steps = planRemoval(files(), root);
    chmodSync(join(root, SPEC), 0o644);
    rmSync(join(root, UNIT));
    expect(() => carryOut(steps)).toThrow();
    expect(text(SPEC)).toMatch(/^unix:/);
  });
});

test('a seal holds as long as nothing below it changes', () => {
  const made = sealed('a\nb\n');
  expect(isSealed(made)).toBe(true);
  for (const other of ['', 'a\nb\n', `${made} `, made.replace('b', 'c'), made.slice(1)]) expect(isSealed(other)).toBe(false);
});

describe('paths in the unit', () => {
  const execStart = (command: string[]) => /^ExecStart=(.*) daemon /m.exec(files('tapbridge', command)[1].content)?.[1];

  test.each([
    [['/opt/my node/bin/node', '/a'], '"/opt/my node/bin/node" /a'],
    [['/a%b', '/c$d'], '/a%%b /c$$d'],
    [['/say "hi"\\', '/x'], '"/say \\"hi\\"\\\\" /x'],
  ])('%j', (command, line) => {
    expect(execStart(command)).toBe(line);
  });

  test('a Node installed in a home stays readable', () => {
    expect(files('tapbridge', ['/home/me/.nvm/node', '/a'])[1].content).toContain('\nProtectHome=read-only\n');
    expect(files()[1].content).toContain('\nProtectHome=yes\n');
  });
});

test('docs/daemon.md explains every line of the unit that takes something', () => {
  const document = readFileSync(new URL('../../docs/daemon.md', import.meta.url), 'utf8');
  const lines = files()[1].content.split('\n');
  const names = lines.slice(lines.indexOf('[Service]')).flatMap((line) => /^([A-Z]\w+)=/.exec(line)?.[1] ?? []);
  const plain = ['Type', 'ExecStart', 'Restart', 'RestartSec', 'TimeoutStopSec', 'StateDirectoryMode', 'WantedBy'];
  const missing = names.filter((name) => !plain.includes(name) && !document.includes(`\`${name}`));
  expect(missing).toEqual([]);
});

test('differences of texts', () => {
  expect(lineDifference('a\nb\nc\n', 'a\nx\nc\nd\n')).toBe(' a\n-b\n+x\n c\n+d');
  expect(lineDifference('', 'a\n')).toBe('+a');
  expect(lineDifference('a\n', '')).toBe('-a');
  const long = 'x\n'.repeat(1001);
  expect(lineDifference(long, 'y\n').split('\n')).toHaveLength(1002);
});
