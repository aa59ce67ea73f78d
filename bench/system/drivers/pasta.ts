import { A, B, type Driver } from '../driver.js';
import { Program } from '../programs.js';
import { giveUplink, isConfigured } from './uplink.js';

/**
 * The network of rootless containers now: a TAP whose TCP segments and datagrams it moves to and from sockets of b's namespace. As delivered, which
 * includes an MTU of 65,520 on the guest's side. With 1,500, as all others here have, Debian 12's version stalls in every fast stream until
 * the guest's retransmission timer fires (iperf3, 3 s: 0.06 to 0.14 Gbit/s instead of 0.7 to 2.8; the TAP's queue lost 22 to 191
 * frames, and a longer one, which lost none, did not help), which would say little about it.
 */
export const pasta: Driver = {
  name: 'pasta',
  role: 'peer',
  what: 'pasta (passt): a TAP translated to sockets on the other side, MTU 65,520 as it sets it',
  needs: [{ command: 'pasta', package: 'passt' }],
  layer: 3,
  ping: true,
  maxPorts: 2,
  async connect(lab, { a, b }) {
    giveUplink(lab, b);
    const guest = ['--config-net', '-a', A, '-n', '24', '--no-map-gw', '--netns', a.netnsPath, '--no-netns-quit'];
    // No port of either side is offered to the other: the hosts meet in connections that a opens.
    const closed = ['-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'];
    const program = Program.start(lab, b.namespace, 'pasta', ['-f', '-q', '-e', '--runas', '0', ...guest, ...closed]);
    await program.until('the interface', () => isConfigured(a, A));
    // Everything comes out of sockets of b's own.
    return { addressOfA: B, addressOfB: B, processes: [program.pid] };
  },
};
