import { join } from 'node:path';
import { getLink, moveLink } from '../../../dist/netlink/link.js';
import { A, B, type Driver } from '../driver.js';
import { Program } from '../programs.js';

/** Virtual Distributed Ethernet's switch: one process, a TAP per host, a frame a system call. Its defaults. */
export const vde: Driver = {
  name: 'vde',
  role: 'peer',
  what: 'VDE switch, a TAP per host',
  needs: [{ command: 'vde_switch', package: 'vde2' }],
  layer: 2,
  ping: true,
  // As far as it was tried: a port takes 20 ms to make.
  maxPorts: 256,
  async connect(lab, { a, b, spare }) {
    const host = lab.namespace('vde');
    const targets = [{ namespace: a.namespace, ifname: 'eth0' }, { namespace: b.namespace, ifname: 'eth0' }, ...spare];
    const taps = targets.flatMap((_, index) => ['-tap', `t${index}`]);
    // One number is never given to a TAP. No rcfile of the machine's. In the foreground it takes commands from its standard input, and ends with it.
    const options = ['-s', join(lab.folder, 'vde'), '-n', String(targets.length + 1), '-f', '/dev/null', ...taps];
    const program = Program.start(lab, host, 'vde_switch', options, { stdin: 'pipe' });
    await program.until('its TAPs', () => targets.every((_, index) => host.hasInterface(`t${index}`)));
    for (const [index, { namespace, ifname }] of targets.entries()) {
      moveLink(host.netlink, getLink(host.netlink, `t${index}`).index, namespace.descriptor, ifname);
    }
    a.namespace.configure('eth0', { address: A });
    b.namespace.configure('eth0', { address: B });
    for (const { namespace, ifname } of spare) namespace.configure(ifname, {});
    return { addressOfA: A, addressOfB: B, processes: [program.pid] };
  },
};
