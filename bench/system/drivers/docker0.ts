import { type Driver, SUBNET } from '../driver.js';
import {
  addressOf,
  ENGINE_NEEDS,
  GATEWAY,
  outsideOf,
  runPair,
  runPublished,
  SERVER_NEEDS,
  SERVER_PROGRAMS,
  startEngine,
} from './docker-containers.js';
import { OUTSIDE, OUTSIDE_OF_HOST } from './nat-uplink.js';

/** The gateway's address decides the subnet. */
const ARGUMENTS = ['--bip', `${GATEWAY}/${SUBNET.split('/')[1]}`];

/** What people have: containers on the bridge a Docker engine makes at its start. */
export const docker0: Driver = {
  name: 'docker0',
  role: 'reference',
  what: 'a real Docker engine, two containers on its docker0',
  needs: ENGINE_NEEDS,
  containers: true,
  layer: 2,
  ping: true,
  maxPorts: 2,
  async makeHosts(lab) {
    const engine = await startEngine(lab, lab.namespace('engine'), [], { args: ARGUMENTS });
    return runPair(lab, engine, { a: [], b: [] });
  },
  connect: async (_, { a, b }) => ({ addressOfA: addressOf(a), addressOfB: addressOf(b), processes: [] }),
};

/** The same with b outside: out by MASQUERADE, in by a published port, whose docker-proxy serves only the host itself. */
export const docker0Nat: Driver = {
  ...docker0,
  name: 'docker0-nat',
  what: 'a real Docker engine, a container on its docker0 with published ports; b is outside',
  needs: [...ENGINE_NEEDS, ...SERVER_NEEDS],
  nat: true,
  layer: 3,
  async makeHosts(lab) {
    const host = lab.namespace('engine');
    const b = await outsideOf(lab, host);
    return runPublished(lab, await startEngine(lab, host, SERVER_PROGRAMS, { args: ARGUMENTS }), b, []);
  },
  connect: async () => ({ addressOfA: OUTSIDE_OF_HOST, addressOfB: OUTSIDE, processes: [] }),
};
