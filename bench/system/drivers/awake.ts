/** What cores that are kept awake give the kernel's own bridge, and what ours is without. */
import { openCores } from '../../../dist/engine/awake.js';
import type { Driver } from '../driver.js';
import { dockerBridge } from './docker-bridge.js';
import { dockerNat } from './docker-nat.js';
import { connectByDaemon, TAPBRIDGE_PORTS } from './tapbridge.js';
import { connectByGateway, tapbridgeNat } from './tapbridge-nat.js';

/** As tapbridge has them while there is traffic (src/engine/awake.ts), but for the whole trial. */
function keptAwake(driver: Driver): Driver {
  return {
    ...driver,
    name: `${driver.name}-awake`,
    role: 'baseline',
    awake: true,
    what: `${driver.what}; idle cores are kept from sleeping, as tapbridge does`,
    connect(lab, wiring) {
      const cores = openCores();
      cores.keepAwake(true);
      let open = true;
      lab.beforeEnd(() => {
        if (open) cores.close();
        open = false;
      });
      return driver.connect(lab, wiring);
    },
  };
}

export const dockerBridgeAwake = keptAwake(dockerBridge);
export const dockerNatAwake = keptAwake(dockerNat);

const ASLEEP = ['--keep-awake', 'off'];

export const tapbridgeAsleep: Driver = {
  name: 'tapbridge-asleep',
  role: 'subject',
  what: 'tapbridge daemon that lets idle cores sleep while there is traffic (--keep-awake off)',
  layer: 2,
  ping: true,
  maxPorts: TAPBRIDGE_PORTS,
  connect: (lab, wiring) => connectByDaemon(lab, wiring, ASLEEP),
};

export const tapbridgeNatAsleep: Driver = {
  ...tapbridgeNat,
  name: 'tapbridge-nat-asleep',
  what: 'the same as tapbridge-nat, but idle cores may sleep while there is traffic (--keep-awake off)',
  connect: (lab, wiring) => connectByGateway(lab, wiring, ASLEEP),
};
