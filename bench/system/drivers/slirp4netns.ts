import { B, type Driver } from '../driver.js';
import { Program } from '../programs.js';
import { giveUplink, isConfigured } from './uplink.js';

/** Not B's network, because B has to be reached through the router; the host part is fixed. */
const NETWORK = '198.18.1.0/24';
const GUEST = '198.18.1.100';

/** The network of rootless containers before pasta: a TAP, and a TCP/IP stack in the process (libslirp) that opens sockets in b's namespace. */
export const slirp4netns: Driver = {
  name: 'slirp4netns',
  role: 'peer',
  what: 'slirp4netns: a TAP and a TCP/IP stack in user space, sockets on the other side',
  needs: [{ command: 'slirp4netns', package: 'slirp4netns' }],
  layer: 3,
  ping: true,
  maxPorts: 2,
  async connect(lab, { a, b }) {
    giveUplink(lab, b);
    const options = ['--netns-type=path', '--configure', '--mtu=1500', `--cidr=${NETWORK}`, '--disable-host-loopback'];
    const program = Program.start(lab, b.namespace, 'slirp4netns', [...options, a.netnsPath, 'eth0']);
    await program.until('the interface', () => isConfigured(a, GUEST));
    // Everything comes out of sockets of b's own.
    return { addressOfA: B, addressOfB: B, processes: [program.pid] };
  },
};
