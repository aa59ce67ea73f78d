import { expect, test } from 'vitest';
import { checkNetns, readEnvironment } from '../../src/cni/environment.js';

const ADD = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: '/run/netns/a', CNI_IFNAME: 'eth0' };

test('all that is missing is named at once', () => {
  expect(() => readEnvironment({ CNI_COMMAND: 'ADD' })).toThrow(
    expect.objectContaining({ code: 4, message: 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing' }),
  );
  expect(() => readEnvironment({ CNI_COMMAND: 'DEL', CNI_IFNAME: 'eth0' })).toThrow('[CNI_CONTAINERID]');
  expect(() => readEnvironment({ CNI_COMMAND: 'GC' })).toThrow('[CNI_PATH]');
  expect(() => readEnvironment({})).toThrow('[CNI_COMMAND]');
  expect(() => readEnvironment({ CNI_COMMAND: 'add' })).toThrow('unknown CNI_COMMAND: add');
});

test.each([
  ['CNI_CONTAINERID', '-c1'],
  ['CNI_CONTAINERID', 'a/b'],
  ['CNI_CONTAINERID', 'a\n'],
  ['CNI_IFNAME', 'sixteen-bytes-01'],
  ['CNI_IFNAME', 'ä'.repeat(8)],
  ['CNI_IFNAME', 'a/b'],
  ['CNI_IFNAME', 'a:b'],
  ['CNI_IFNAME', 'a b'],
  ['CNI_IFNAME', '..'],
  ['CNI_NETNS', 'a'],
])('%s %j is refused', (name, value) => {
  expect(() => readEnvironment({ ...ADD, [name]: value })).toThrow(
    expect.objectContaining({ code: 4, details: expect.stringContaining(name) }),
  );
});

test('several that are wrong are all named', () => {
  const env = { ...ADD, CNI_CONTAINERID: '/', CNI_IFNAME: '.' };
  expect(() => readEnvironment(env)).toThrow(
    expect.objectContaining({ details: expect.stringMatching(/CNI_CONTAINERID.*CNI_IFNAME/) }),
  );
});

test('VERSION looks at nothing else: podman sets the others to dummy', () => {
  const env = { CNI_COMMAND: 'VERSION', CNI_NETNS: 'dummy', CNI_IFNAME: 'dummy', CNI_PATH: 'dummy' };
  expect(readEnvironment(env).verb).toBe('VERSION');
});

test('DEL takes a namespace that is missing or relative', () => {
  expect(readEnvironment({ ...ADD, CNI_COMMAND: 'DEL', CNI_NETNS: '' }).netns).toBe('');
  expect(readEnvironment({ ...ADD, CNI_COMMAND: 'DEL', CNI_NETNS: 'gone' }).netns).toBe('gone');
});

test('what is no namespace, and the runtime’s own', () => {
  const of = (netns: string, more = {}) => readEnvironment({ ...ADD, CNI_NETNS: netns, ...more });
  expect(() => checkNetns(of('/nonexistent'))).toThrow(expect.objectContaining({ code: 4 }));
  expect(() => checkNetns(of('/etc/hosts'))).toThrow(expect.objectContaining({ code: 4 }));
  expect(() => checkNetns(of('/proc/self/ns/net'))).toThrow(expect.objectContaining({ code: 8 }));
  checkNetns(of('/proc/self/ns/net', { CNI_NETNS_OVERRIDE: 'true' }));
});
