/** Subnets of bridges that overlap what the host already reaches another way: one of the two is then cut off. */
import type { BridgeInfo } from '../../control/model.js';
import { RouteType } from '../../netlink/constants.js';
import type { Link } from '../../netlink/link.js';
import type { Route } from '../../netlink/route.js';
import { Ipv4Cidr, parseIpv4, parseIpv4Cidr } from '../../wire/ipv4-address.js';
import { type Finding, ok, warn } from './finding.js';

const AREA = 'networks';

/** @param host links and routes of the daemon's namespace */
export function checkSubnets(
  bridges: readonly Pick<BridgeInfo, 'name' | 'subnet'>[],
  host: { links: readonly Link[]; routes: readonly Route[] },
): Finding[] {
  const names = new Map(host.links.map(({ index, name }) => [index, name]));
  const known = bridges.flatMap(({ name, subnet }) => (subnet === null ? [] : [{ name, subnet: parseIpv4Cidr(subnet) }]));
  const findings = known.flatMap((bridge, at) => {
    const others = known.slice(at + 1).filter(({ subnet }) => subnet.overlaps(bridge.subnet));
    const routes = host.routes.filter(({ destination, prefix, type, index }) => {
      const isUnicast = prefix > 0 && type === RouteType.unicast && !destination.includes(':');
      return (
        isUnicast && names.get(index) !== bridge.name && new Ipv4Cidr(parseIpv4(destination), prefix).overlaps(bridge.subnet)
      );
    });
    return [
      ...others.map((other) =>
        overlap(bridge, `${other.subnet} of bridge ${other.name}`, 'containers of both cannot be told apart by the host'),
      ),
      ...routes
        // Of two bridges that overlap the route of the other is no news.
        .filter(({ index }) => !others.some(({ name }) => name === names.get(index)))
        .map(({ destination, prefix, index }) =>
          overlap(
            bridge,
            `the host's route to ${destination}/${prefix} by ${names.get(index) ?? 'another interface'}`,
            'the containers stay reachable, hosts of the same addresses behind that route may not be',
          ),
        ),
    ];
  });
  return findings.length > 0
    ? findings
    : [ok(AREA, known.length === 0 ? 'no bridge with a subnet' : 'no subnet overlaps a route of the host')];
}

function overlap(bridge: { name: string; subnet: Ipv4Cidr }, other: string, meaning: string): Finding {
  return warn(
    AREA,
    `${bridge.subnet} of bridge ${bridge.name} overlaps ${other}`,
    meaning,
    `make ${bridge.name} anew with another --subnet`,
  );
}
