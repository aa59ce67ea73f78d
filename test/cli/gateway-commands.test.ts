/** The commands of the gateway against an API that is made up: what they ask for and what they print. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeControl, madeFlow } from '../helpers/fake-control.js';
import { FakeServer } from '../helpers/fake-server.js';
import { type Result, runCommand } from './cli-run.js';

let control: FakeControl;
let server: FakeServer;
beforeEach(async () => {
  control = new FakeControl();
  server = await FakeServer.start(control);
});
afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  await server.close();
});

function cli(args: string[], onOut?: (text: string) => boolean): Promise<Result> {
  return runCommand(server.path, args, onOut);
}

describe('publish', () => {
  test('says where it leads; show lists it; unpublish ends it', async () => {
    expect((await cli(['publish', 'tb0', '8080-8089:80-89', 'web'])).out).toBe('8080-8089/tcp leads to web at 10.1.0.2:80-89\n');
    expect((await cli(['publish', 'tb0', '192.0.2.7:53:53/udp', 'dns'])).out).toBe(
      '192.0.2.7:53/udp leads to dns at 10.1.0.2:53\n',
    );
    expect((await cli(['show', 'tb0', 'publishes'])).out).toBe(
      [
        'HOST              CONTAINER       PORT  LISTENER',
        '8080-8089/tcp     10.1.0.2:80-89  web   yes',
        '192.0.2.7:53/udp  10.1.0.2:53     dns   yes',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await cli(['show', 'tb0', 'publishes', '--json'])).out)).toEqual(control.publishes);
    expect((await cli(['complete', 'publishes', 'tb0'])).out).toBe('8080-8089/tcp\n192.0.2.7:53/udp\n');
    expect((await cli(['unpublish', 'tb0', '192.0.2.7:53/udp'])).status).toBe(0);
    expect(control.removed).toEqual([{ protocol: 'udp', hostAddress: '192.0.2.7', hostPort: 53, hostPortEnd: 53 }]);
  });

  test('wrong syntax is one line that tells the right one, status 2', async () => {
    const { out, err, status } = await cli(['publish', 'tb0', '8080', 'web']);
    expect([out, status]).toEqual(['', 2]);
    expect(err).toBe(
      'tapbridge: publish 8080: "8080" is not how a publish is written; ' +
        'write [HOSTIP:]HOSTPORT[-END]:PORT[-END][/tcp|/udp], like 8080:80 or 127.0.0.1:5353:53/udp\n',
    );
    expect(control.published).toEqual([]);
  });
});

describe('flows', () => {
  test('as lines, chosen by the filters', async () => {
    control.flows = 2;
    const { out } = await cli(['show', 'tb0', 'flows', '--proto', 'tcp', '--container', 'web', '--port', '443']);
    expect(out.split('\n')).toHaveLength(3);
    expect(out).toMatch(/^tcp {4}7440 ESTABLISHED src=10\.1\.0\.2 .* \[ASSURED\] age=12 port=web\n/);
    expect(control.queries).toEqual([{ protocol: 'tcp', port: 443, portName: 'web' }]);
  });

  test.each([0, 1, 5000])('%i as one array', async (flows) => {
    control.flows = flows;
    expect(JSON.parse((await cli(['show', 'tb0', 'flows', '--json'])).out)).toEqual(
      Array.from({ length: flows }, (_, number) => madeFlow(number)),
    );
  });

  test('a great many are written piece by piece', async () => {
    control.flows = 65_536;
    const { out, largest } = await cli(['show', 'tb0', 'flows', '--json']);
    expect(out.length).toBeGreaterThan(20_000_000);
    expect(largest).toBeLessThan(4_000_000);
  });

  test('a reader that left (head) ends it without a word, here and in the daemon', async () => {
    control.flows = 262_144;
    const { err, status } = await cli(['show', 'tb0', 'flows'], () => false);
    expect([err, status]).toEqual(['', 0]);
    await expect.poll(() => control.ended).toBe(1);
    expect(control.pages).toBeLessThan(64);
  });

  test('flush says how many', async () => {
    control.flows = 1;
    expect((await cli(['flows', 'flush', 'tb0', '--address', '192.0.2.0/24'])).out).toBe('1 flow ended\n');
    control.flows = 7;
    expect((await cli(['flows', 'flush', 'tb0'])).out).toBe('7 flows ended\n');
    expect(control.queries).toEqual([{ address: '192.0.2.0/24' }, {}]);
  });

  test('filters are of flows only', async () => {
    const { err, status } = await cli(['show', 'tb0', 'ports', '--state', 'established']);
    expect([err, status]).toEqual(['tapbridge: show tb0: --state chooses flows; add "flows", or leave it out\n', 2]);
  });

  test.each([true, false])('watching prints events until it is interrupted (json: %s)', async (json) => {
    const first = { event: 'new' as const, flow: madeFlow(1) };
    const running = cli(['flows', 'watch', 'tb0', '--container', 'web', ...(json ? ['--json'] : [])], (text) => {
      // Ctrl-C once the event was seen.
      if (text.includes('10.1.0.2')) setTimeout(() => process.emit('SIGINT'));
      return true;
    });
    await expect.poll(() => control.emit).toBeDefined();
    control.emit?.([first]);
    const { out, err, status } = await running;
    expect([err, status]).toEqual(['', 0]);
    if (json) expect(JSON.parse(out)).toEqual(first);
    else expect(out).toMatch(/^ {4}\[NEW\] tcp .* bridge=tb0\n$/);
    await expect.poll(() => control.watches).toBe(0);
  });

  test('without a bridge all are watched; one whose reader left ends', async () => {
    const running = cli(['flows', 'watch'], () => false);
    await expect.poll(() => control.emit).toBeDefined();
    control.emit?.([{ event: 'lost', lost: 3 }]);
    const { err, status } = await running;
    expect([err, status]).toEqual(['', 0]);
  });
});

describe('policy', () => {
  test('rules are added, listed by number, removed', async () => {
    expect((await cli(['policy', 'tb0', 'add', 'deny', 'out', '--proto', 'tcp', '--ports', '25'])).out).toBe(
      'rule 1 of tb0: deny out tcp ports 25\n',
    );
    await cli(['policy', 'tb0', 'add', 'allow', '--remote', '192.0.2.0/24', '--container', 'web', '--at', '1']);
    const allow = { action: 'allow', remote: '192.0.2.0/24', port: 'web' };
    const deny = { action: 'deny', direction: 'out', protocol: 'tcp', ports: '25' };
    expect(control.bridge.rules).toEqual([allow, deny]);
    expect((await cli(['policy', 'tb0'])).out).toBe(
      [
        'N  ACTION  DIRECTION  PROTO  REMOTE        PORTS  CONTAINER',
        '1  allow   both       any    192.0.2.0/24  any    web',
        '2  deny    out        tcp    any           25     any',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await cli(['policy', 'tb0', '--json'])).out)).toEqual([allow, deny]);
    expect((await cli(['policy', 'tb0', 'rm', '1'])).out).toBe('removed: allow both any protocol 192.0.2.0/24 of web\n');
    expect(control.bridge.rules).toEqual([deny]);
  });

  test.each([
    [['add', 'deny', '--at', '3'], '--at must be from 1 to 1, not 3'],
    [['rm', '1'], 'tb0 has no rules'],
    [['rm'], 'rm takes the number of one rule'],
    [['add'], 'a rule allows or denies'],
    [['--proto', 'tcp'], '--proto is of a new rule'],
  ])('%j is refused in one line', async (args, why) => {
    const { err, status } = await cli(['policy', 'tb0', ...args]);
    expect(status).toBe(2);
    expect(err).toMatch(/^tapbridge: policy tb0: .*\n$/);
    expect(err).toContain(why);
    expect(control.bridge.rules).toEqual([]);
  });
});

describe('what there is', () => {
  test('uplinks', async () => {
    expect((await cli(['uplinks'])).out).toBe(
      [
        'INTERFACE  STATE  ADDRESS                     MTU  GUARD  BRIDGES',
        'eth0       up     198.51.100.7,198.51.100.8  1400  ebpf   tb0',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await cli(['uplinks', '--json'])).out)).toEqual(control.listUplinks());
  });

  test('the gateway: way out, counters, drops with their reasons, use of the tables', async () => {
    control.counted = { forwarded_out: 1234, not_published: 5 };
    const { out } = await cli(['show', 'tb0', 'gateway']);
    expect(out).toContain('uplink auto: eth0 up, flows translated to its address');
    expect(out).toMatch(/^forwarded_out +1234$/m);
    expect(out).toMatch(/^not_published +5 +gateway +from outside, and neither published nor part of a flow$/m);
    expect(out).not.toContain('ttl_exceeded');
    expect(out).toMatch(/^flows +1000 +262144 +0%$/m);
    expect(out).toMatch(/^tcp ports of 198\.51\.100\.7 +8192 +16384 +50%$/m);
    const json = JSON.parse((await cli(['show', 'tb0', 'gateway', '--json'])).out);
    expect(json).toMatchObject({
      bridge: 'tb0',
      drops: { not_published: 5 },
      counters: { forwarded_out: 1234 },
      flowLimit: 262_144,
    });
    expect(json.counters).not.toHaveProperty('not_published');
  });

  test('the summary has the way out, publishes and the drops of the gateway', async () => {
    control.counted = { policy_denied: 2 };
    await cli(['publish', 'tb0', '8080:80', 'web']);
    const { out } = await cli(['show', 'tb0']);
    expect(out).toContain('\nuplink auto: eth0 up, flows translated to its address, containers reach each other\n');
    expect(out).toMatch(/\npublishes \(1\)\nHOST .*\n8080\/tcp +10\.1\.0\.2:80 +web +yes\n/);
    expect(out).toMatch(/\npolicy_denied +2 +gateway +a rule denies it\n/);
    const json = JSON.parse((await cli(['show', 'tb0', '--json'])).out);
    expect(json).toMatchObject({ bridge: { name: 'tb0' }, uplinks: [{ interface: 'eth0' }], publishes: [{ hostPort: 8080 }] });
  });

  test('counters', async () => {
    control.counted = { forwarded_in: 7, ip_spoofed: 3 };
    const { out } = await cli(['show', 'tb0', 'counters']);
    expect(out).toMatch(/^forwarded_in +7$/m);
    expect(out).toMatch(/^ip_spoofed +3 +gateway +/m);
  });
});

test('create and set send the settings of the gateway', async () => {
  await cli(['set', 'tb0', 'uplink=eth0,eth1', 'icc=off', 'egress=198.51.100.8', 'mss-clamp=on']);
  expect(control.bridge).toMatchObject({ uplink: 'eth0,eth1', icc: false, egressAddress: '198.51.100.8', mssClamp: 'on' });
  await cli(['create', 'tb1', '--subnet', '10.2.0.0/24', '--uplink', 'eth0', '--no-icc', '--egress', '198.51.100.8']);
  const given = { name: 'tb1', subnet: '10.2.0.0/24', uplink: 'eth0', icc: false, egressAddress: '198.51.100.8' };
  expect(control.created).toEqual([given]);
  await cli(['create', 'tb2', '--internal', '--mss-clamp', 'off']);
  expect(control.created[1]).toEqual({ name: 'tb2', internal: true, mssClamp: 'off' });
  const { err, status } = await cli(['create', 'tb3', '--mss-clamp', '1400']);
  expect([err, status]).toEqual(['tapbridge: create tb3: --mss-clamp is auto, on or off, not "1400"\n', 2]);
});
