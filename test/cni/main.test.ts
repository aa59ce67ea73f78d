/** The program itself: what it prints, and where. */
import { expect, test } from 'vitest';
import { type PluginResult, runPlugin } from './plugin.js';

const VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const ADD = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: '/run/netns/a', CNI_IFNAME: 'eth0' };

function documentOf({ stdout }: PluginResult): Record<string, unknown> {
  return JSON.parse(stdout);
}

test('VERSION, as podman asks, with nothing else in the environment', async () => {
  const env = { CNI_COMMAND: 'VERSION', CNI_NETNS: 'dummy', CNI_IFNAME: 'dummy', CNI_PATH: 'dummy' };
  const asked = await runPlugin(env, '{"cniVersion":"1.0.0"}');
  expect(asked).toMatchObject({ status: 0, stderr: '' });
  expect(documentOf(asked)).toEqual({ cniVersion: '1.0.0', supportedVersions: VERSIONS });
  expect(documentOf(await runPlugin(env, ''))).toEqual({ cniVersion: '1.1.0', supportedVersions: VERSIONS });
});

test.each([
  ['no verb', {}, '', 4],
  ['no JSON', ADD, 'z', 6],
  ['nothing', ADD, '', 6],
  ['a version from the future', ADD, '{"cniVersion":"9.0.0","name":"n","type":"tapbridge"}', 1],
  ['CHECK before 0.4.0', { ...ADD, CNI_COMMAND: 'CHECK' }, '{"cniVersion":"0.3.1","name":"n","type":"tapbridge"}', 1],
  ['STATUS before 1.1.0', { CNI_COMMAND: 'STATUS' }, '{"cniVersion":"1.0.0","name":"n","type":"tapbridge"}', 1],
  ['GC before 1.1.0', { CNI_COMMAND: 'GC', CNI_PATH: '/x' }, '{"cniVersion":"1.0.0","name":"n","type":"tapbridge"}', 1],
  ['an unknown key', ADD, '{"cniVersion":"0.4.0","name":"n","type":"tapbridge","vlan":7}', 2],
])('%s: an error document on standard output, status 1', async (_, env, input, code) => {
  const result = await runPlugin(env, input);
  expect(result).toMatchObject({ status: 1, stderr: '' });
  const { cniVersion, ...error } = documentOf(result);
  expect(error).toMatchObject({ code, msg: expect.any(String) });
  // In the version of the input, where that is one.
  const asked = /"cniVersion":"([^"]*)"/.exec(input)?.[1] ?? '';
  expect(cniVersion).toBe(VERSIONS.includes(asked) ? asked : '1.1.0');
});
