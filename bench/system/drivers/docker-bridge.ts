import { writeSysctl } from '../../../dist/netlink/sysctl.js';
import { type Driver, SUBNET } from '../driver.js';
import { ask } from '../programs.js';
import { KERNEL_BRIDGE_PORTS, makeBridgeHost, plugAll } from './kernel-bridge.js';

/**
 * The rules a Docker engine lays over its bridge (docker0 of Docker 20 to 28, iptables' nft backend, no published port): forwarding is
 * refused unless allowed, and the source address of what leaves is masqueraded. Where br_netfilter is loaded, as Docker has it, it is on in a
 * new namespace: bridged frames pass the rules too, and with them connection tracking.
 */
const RULES = `
table ip filter {
  chain DOCKER-USER { counter return; }
  chain DOCKER-ISOLATION-STAGE-2 { oifname "br0" counter drop; counter return; }
  chain DOCKER-ISOLATION-STAGE-1 { iifname "br0" oifname != "br0" counter jump DOCKER-ISOLATION-STAGE-2; counter return; }
  chain DOCKER { }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-ISOLATION-STAGE-1
    oifname "br0" ct state related,established counter accept
    oifname "br0" counter jump DOCKER
    iifname "br0" oifname != "br0" counter accept
    iifname "br0" oifname "br0" counter accept
  }
}
table ip nat {
  chain DOCKER { iifname "br0" counter return; }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local counter jump DOCKER; }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${SUBNET} oifname != "br0" counter masquerade
  }
}
`;

/** What people replace: the kernel's bridge as a Docker engine sets it up. */
export const dockerBridge: Driver = {
  name: 'docker-bridge',
  role: 'reference',
  what: "the kernel's bridge and two veth pairs, as Docker sets them up: with its rules and connection tracking",
  needs: [{ command: 'nft', package: 'nftables' }],
  layer: 2,
  ping: true,
  maxPorts: KERNEL_BRIDGE_PORTS,
  async connect(lab, wiring) {
    const host = makeBridgeHost(lab);
    host.inside(() => writeSysctl('net/ipv4/ip_forward', 1));
    ask(host, 'nft', ['-f', '-'], { input: RULES });
    return plugAll(host, wiring);
  },
};
