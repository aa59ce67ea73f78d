/** A daemon with a gateway is killed: what the next one finds, and what is left on the host when that one ends. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectHosts } from '../../src/lab/connect-hosts.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { getLink } from '../../src/netlink/link.js';
import { addRoute } from '../../src/netlink/route.js';
import { ingressQueue } from '../../src/netlink/tc.js';
import { TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';

describeSystem('the gateway after a crash', ['root', 'tap', 'bpf', 'named-netns'], () => {
  let lab: Lab;
  let host: LabHost;
  let outside: LabHost;
  let web: LabHost;
  let daemon: TestDaemon;

  beforeAll(async () => {
    lab = Lab.create('tbgwcrash');
    [host, outside, web] = await Promise.all([lab.host('host'), lab.host('outside'), lab.host('web')]);
    connectHosts(host, '10.0.0.1', outside, '10.0.0.2');
    const { netlink } = host.namespace;
    addRoute(netlink, { destination: 'default', gateway: '10.0.0.2', index: getLink(netlink, 'eth0').index });
    daemon = await TestDaemon.start(lab, host.namespace);
  });
  afterAll(async () => {
    await daemon?.close();
    await lab.close();
  });

  const works = async () => {
    expect((await web.ping({ address: '10.0.0.2', count: 1 })).received).toBe(1);
    const served = await web.tcpServe(5000);
    await outside.tcpSend({ address: '10.0.0.1', port: 8080, bytes: 100_000 });
    expect(await served.result()).toMatchObject({ bytes: 100_000, intact: true });
    const again = await web.tcpServe(5000);
    await host.tcpSend({ address: '127.0.0.1', port: 8080, bytes: 100_000 });
    expect(await again.result()).toMatchObject({ bytes: 100_000, intact: true });
  };
  const queue = () => ingressQueue(host.namespace.netlink, getLink(host.namespace.netlink, 'eth0').index);

  test.each(['auto', 'classic'])('guard %s: the same uplink and publishes, and nothing left at the end', async (guard) => {
    const config = join(daemon.folder, `${guard}.yaml`);
    writeFileSync(config, `nat: { guard: ${guard} }\n`);
    await daemon.end('SIGTERM');
    await daemon.start('--config', config);
    await daemon.client.createBridge({ name: 'tb0', subnet: '10.88.0.0/24' });
    await daemon.client.attach('tb0', { port: 'web', netns: web.netnsPath, ip: 'auto' });
    await daemon.client.publish('tb0', { hostPort: 8080, port: 5000, portName: 'web' });
    await works();
    const before = await daemon.client.listPublishes('tb0');
    await daemon.end('SIGKILL');
    await daemon.start('--config', config);
    expect(await daemon.client.listPublishes('tb0')).toEqual(before);
    expect((await daemon.client.listUplinks()).map((uplink) => [uplink.interface, uplink.guard])).toEqual([
      ['eth0', guard === 'auto' ? 'ebpf-tc' : 'classic'],
    ]);
    await works();
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(queue()).toBe('');
    await daemon.start();
    expect(await daemon.client.listBridges()).toEqual([]);
  });
});
