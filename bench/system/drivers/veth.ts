import { connectHosts } from '../../../dist/lab/connect-hosts.js';
import { A, B, type Driver } from '../driver.js';

/** The ceiling of generator, receiver and their stacks: nothing forwards. */
export const veth: Driver = {
  name: 'veth',
  role: 'ceiling',
  what: 'a bare veth pair, no bridge',
  layer: 2,
  ping: true,
  maxPorts: 2,
  async connect(_lab, { a, b }) {
    connectHosts(a, A, b, B);
    return { addressOfA: A, addressOfB: B, processes: [] };
  },
};
