import { createVeth } from '../../../dist/netlink/link.js';
import { writeSysctl } from '../../../dist/netlink/sysctl.js';
import { A, B, type Driver } from '../driver.js';
import { OUTSIDE_NETWORK, OUTSIDE_PREFIX, UPLINK } from './nat-uplink.js';
import { plugRelayTap, RELAY_OPTIONS, startRelay } from './tap-relay.js';

/**
 * The ceiling of our gateway: a C++ program that moves frames between a's TAP and a raw socket on the uplink as our engine does, and neither decides
 * nor translates. So b has to know a: both are in one subnet, ARP passes like everything else, and a published port is the container's own.
 */
export const natRelay: Driver = {
  name: 'nat-relay',
  role: 'ceiling',
  what: `a C++ relay between a's TAP and a raw socket on the uplink that translates nothing (bench/probes/tap-relay.cc ${RELAY_OPTIONS.join(' ')}); b is outside and knows a`,
  needs: [{ command: 'g++', package: 'g++' }],
  layer: 2,
  nat: true,
  ping: true,
  maxPorts: 2,
  async connect(lab, { a, b }) {
    const host = lab.namespace('relay');
    // The uplink has no address of either family, so the relay's own stack answers to nothing and has nowhere to send.
    host.inside(() => {
      writeSysctl('net/ipv6/conf/default/disable_ipv6', 1);
      writeSysctl('net/ipv4/ip_forward', 0);
    });
    createVeth(host.netlink, { name: UPLINK }, { name: 'eth0', netns: b.namespace.descriptor });
    host.configure(UPLINK, {});
    // The TAP is made last: when it is there, so is the socket.
    const program = startRelay(lab, host, [`packet:${UPLINK}`, 't0']);
    await program.until('its TAP', () => host.hasInterface('t0'));
    plugRelayTap(host, 't0', a.namespace);
    b.namespace.configure('eth0', { address: B });
    b.namespace.configure('lo', { address: OUTSIDE_NETWORK, prefix: OUTSIDE_PREFIX });
    a.namespace.configure('eth0', { address: A, gateway: B });
    return { addressOfA: A, addressOfB: B, processes: [program.pid] };
  },
};
