/**
 * Flows that outlive the process: what the gateway before this one left in the flow table's rows (conntrack/flow-table.ts), taken over.
 *
 *     open-gateway ─▶ adopt ──▶ [ bridges, ports, uplinks, routes, publishes are made again ] ─▶ flows-restored ─▶ settle ─▶ frames are routed again
 *                       │                                                                                            │
 *                 rows, lists, mappings, ports                                                        flows of what did not come back end
 *
 * Bridges, ports and uplinks have the numbers they had, so a row means what it meant. Numbers of mappings are new, and what the mappings hold follows
 * from the flows. The guard learns of an address with its uplink, and of the ports in use there at the same moment, before a frame from it is read.
 *
 * In between nothing is routed: the frames end as `restoring`, because a flow looked at too early would find its uplink, bridge or route missing and end.
 * For the same reason the settings made meanwhile end no flow (settings.ts); `settle` looks at each flow once, when all of them are made.
 *
 * What does not survive: rest of ports given back (N14), counters, fragments and frames that waited, neighbors. A flow asks for its route again with its
 * first frame, as after any change of the routes.
 */
import type { PortTable } from '../bridge/port-table.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import { FLOW, FLOW_SHIFT, NO_OWNER, Removal, type RemovalReason } from '../conntrack/flow-layout.js';
import type { MappingTable } from '../nat/mapping-table.js';
import type { PublishTable } from '../nat/publish-table.js';
import type { AddressSet } from './address-set.js';
import type { FlowClaims } from './flow-claims.js';
import type { Opening } from './opening.js';
import type { Uplinks } from './uplinks.js';
import { FIRST_UPLINK, isUplink, UPLINK_COUNT, ZoneFlag, type Zones } from './zones.js';

const { oSource: O_SOURCE, oDestination: O_DESTINATION, oPorts: O_PORTS } = FLOW;
const { rSource: R_SOURCE, rDestination: R_DESTINATION, rPorts: R_PORTS } = FLOW;
const { zones: ZONES, kind: KIND, owner: OWNER, mapping: MAPPING } = FLOW;
/** A generation of the routes that is past: the first one is 0. */
const PAST = 0xffff << 16;

export interface AdoptionTables {
  conntrack: Conntrack;
  zones: Zones;
  locals: AddressSet;
  publishes: PublishTable;
  mappings: MappingTable;
  opening: Opening;
  claims: FlowClaims;
  ports: PortTable;
  uplinks: Uplinks;
}

export class Adoption {
  private readonly tables: AdoptionTables;

  constructor(tables: AdoptionTables) {
    this.tables = tables;
  }

  /** Takes over what is in the rows of a new flow table. Returns how many flows there are. */
  adopt(seconds: number): number {
    const { conntrack, claims } = this.tables;
    const { words } = conntrack.flows;
    return conntrack.adopt(seconds, (flow) => {
      const row = flow << FLOW_SHIFT;
      if (!areZones(words[row + ZONES])) return false;
      words[row + OWNER] = (words[row + OWNER] & 0xffff) | PAST;
      return claims.adopt(flow);
    });
  }

  /** Ends the flows of what did not come back. Returns how many. */
  settle(seconds: number): number {
    const { conntrack, mappings } = this.tables;
    const { flows } = conntrack;
    let ended = 0;
    for (let flow = 0; flow < flows.rows(); flow++) {
      const row = flow << FLOW_SHIFT;
      const reason = flows.used(flow) ? this.misfit(row) : FITS;
      if (reason !== FITS) {
        conntrack.remove(flow, reason, seconds);
        ended++;
      } else if (flows.used(flow) && flows.words[row + MAPPING] >= 0) {
        this.claimOwner(flows.words[row + MAPPING], mappings);
      }
    }
    return ended;
  }

  /** Why a flow cannot go on, or FITS. */
  private misfit(row: number): RemovalReason | typeof FITS {
    const { words } = this.tables.conntrack.flows;
    const { zones, ports } = this.tables;
    const out = words[row + ZONES] & 0xffff;
    const back = words[row + ZONES] >>> 16;
    const owner = words[row + OWNER] & 0xffff;
    for (const zone of [out, back]) {
      if ((zones.flags[zone] & ZoneFlag.up) === 0) return isUplink(zone) ? Removal.route_changed : Removal.owner_closed;
      if ((zones.flags[zone] & ZoneFlag.internal) !== 0 && out !== back) return Removal.address_changed;
    }
    const bridges = [out, back].filter((zone) => !isUplink(zone));
    if (owner !== NO_OWNER && !bridges.includes(ports.bridge[owner])) return Removal.owner_closed;
    if (!isUplink(back) && !zones.isInside(back, words[row + O_SOURCE])) return Removal.owner_closed;
    if (!isUplink(out) && !zones.isInside(out, words[row + R_SOURCE])) return Removal.owner_closed;
    return this.sourceMisfit(row, out, back) ?? this.destinationMisfit(row, back) ?? FITS;
  }

  /** Translated to an address that is no longer ours. */
  private sourceMisfit(row: number, out: number, back: number): RemovalReason | null {
    const { words } = this.tables.conntrack.flows;
    const { uplinks, locals } = this.tables;
    const outer = words[row + R_DESTINATION];
    if (isUplink(back) || outer === words[row + O_SOURCE]) return null;
    const held = isUplink(out) ? uplinks.holds(out, outer) : locals.has(outer);
    return held ? null : Removal.address_changed;
  }

  /** Came to an address that is no longer ours, or by a publish that is no longer there. */
  private destinationMisfit(row: number, back: number): RemovalReason | null {
    const { words } = this.tables.conntrack.flows;
    const { locals, publishes, mappings } = this.tables;
    const address = words[row + O_DESTINATION];
    const port = words[row + O_PORTS] & 0xffff;
    const [inner, innerPort] = [words[row + R_SOURCE], words[row + R_PORTS] >>> 16];
    const protocol = words[row + KIND] & 0xff;
    if (address === inner) return null;
    if (!locals.has(address)) return Removal.address_changed;
    const admitted = isUplink(back) ? words[row + MAPPING] : mappings.findOuter(protocol, address, port);
    if (admitted >= 0 && mappings.innerAddress(admitted) === inner) return null;
    const publish = publishes.find(protocol, address, port);
    const same = publish >= 0 && publishes.address(publish) === inner && publishes.port(publish, port) === innerPort;
    return same ? null : Removal.unpublished;
  }

  /** Mappings whose only flows came in by them do not say whose they are: the port with the inner address has them. */
  private claimOwner(mapping: number, mappings: MappingTable): void {
    const { ports, opening } = this.tables;
    if (mappings.owner(mapping) !== NO_OWNER) return;
    const inner = mappings.innerAddress(mapping);
    const bridge = opening.bridgeOf(inner);
    for (let port = 0; bridge >= 0 && port < ports.capacity; port++) {
      if (ports.bridge[port] === bridge && ports.address[port] === inner) mappings.setOwner(mapping, port);
    }
  }
}

const FITS = -1;

function areZones(zones: number): boolean {
  const [out, back] = [zones & 0xffff, zones >>> 16];
  const there = Math.max(out, back) < FIRST_UPLINK + UPLINK_COUNT;
  return there && !(isUplink(out) && isUplink(back));
}
