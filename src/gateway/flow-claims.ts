/**
 * What a flow holds while it lives, and gives back when it ends: a reference to its NAT mapping, a place among the mapping's contacts, or, without
 * ports of its own, a mark of the guard. All of it follows from the flow's row, so a flow that another process left takes it up again (`adopt`).
 */
import { FLOW, FLOW_SHIFT, NO_OWNER, Removal, type RemovalReason } from '../conntrack/flow-layout.js';
import type { FlowTable } from '../conntrack/flow-table.js';
import { GATEWAY, type GatewayCounters } from '../core/counters.js';
import type { MappingTable } from '../nat/mapping-table.js';
import { otherIndex, PortClass, type PortGuard, portClass } from '../nat/port-guard.js';
import type { FilterTable } from './filter-table.js';
import { isUplink } from './zones.js';

const { oSource: O_SOURCE, oDestination: O_DESTINATION, oPorts: O_PORTS } = FLOW;
const { rSource: R_SOURCE, rDestination: R_DESTINATION, rPorts: R_PORTS } = FLOW;
const { zones: ZONES, mapping: MAPPING, kind: KIND, owner: OWNER } = FLOW;

export class FlowClaims {
  private readonly flows: FlowTable;
  private readonly mappings: MappingTable;
  private readonly contacts: FilterTable;
  private readonly guard: PortGuard;
  private readonly counters: GatewayCounters;

  constructor(flows: FlowTable, mappings: MappingTable, contacts: FilterTable, guard: PortGuard, counters: GatewayCounters) {
    this.flows = flows;
    this.mappings = mappings;
    this.contacts = contacts;
    this.guard = guard;
    this.counters = counters;
  }

  begin(flow: number): void {
    const { words } = this.flows;
    const row = flow << FLOW_SHIFT;
    const mapping = words[row + MAPPING];
    if (mapping >= 0) {
      this.contacts.add(mapping, words[row + R_SOURCE]);
    } else if (this.needsMark(row)) {
      this.mark(row);
    }
  }

  /**
   * The claims of a flow that another process left, whose number of a mapping means nothing any more: of one that a container opened the mapping is that
   * of its source, of one that came in by a mapping (adf, eif) that of its destination.
   * @returns false when it cannot have the mapping it had
   */
  adopt(flow: number): boolean {
    const { words } = this.flows;
    const row = flow << FLOW_SHIFT;
    if (words[row + MAPPING] < 0) {
      words[row + MAPPING] = -1;
      this.begin(flow);
      return true;
    }
    const protocol = words[row + KIND] & 0xff;
    const owner = words[row + OWNER] & 0xffff;
    const [oPorts, rPorts] = [words[row + O_PORTS], words[row + R_PORTS]];
    const mapping = isUplink(words[row + ZONES] >>> 16)
      ? this.mappings.adopt(protocol, words[row + R_SOURCE], rPorts >>> 16, words[row + O_DESTINATION], oPorts & 0xffff, NO_OWNER)
      : this.mappings.adopt(protocol, words[row + O_SOURCE], oPorts >>> 16, words[row + R_DESTINATION], rPorts & 0xffff, owner);
    words[row + MAPPING] = mapping;
    if (mapping >= 0) this.begin(flow);
    return mapping >= 0;
  }

  /** Marks what there is on an address the guard has just learned of. */
  guardAddress(address: number): void {
    this.mappings.guardAddress(address);
    const { flows } = this;
    for (let flow = 0; flow < flows.rows(); flow++) {
      const row = flow << FLOW_SHIFT;
      const marked = flows.used(flow) && flows.words[row + MAPPING] < 0 && flows.words[row + R_DESTINATION] === address;
      if (marked && this.needsMark(row)) this.mark(row);
    }
  }

  end(flow: number, reason: RemovalReason): void {
    const { words } = this.flows;
    const row = flow << FLOW_SHIFT;
    const mapping = words[row + MAPPING];
    const zone = inside(words[row + ZONES]);
    this.counters.add(zone, GATEWAY.flows_ended, 1);
    if (reason === Removal.early_dropped) {
      this.counters.add(zone, GATEWAY.early_dropped, 1);
    }
    if (mapping >= 0) {
      this.contacts.remove(mapping, words[row + R_SOURCE]);
      this.mappings.release(mapping);
    } else if (this.needsMark(row)) {
      const protocol = words[row + KIND] & 0xff;
      this.guard.unmark(words[row + R_DESTINATION], protocol, otherIndex(protocol, words[row + R_SOURCE]));
    }
  }

  private mark(row: number): void {
    const { words } = this.flows;
    const protocol = words[row + KIND] & 0xff;
    this.guard.mark(words[row + R_DESTINATION], protocol, otherIndex(protocol, words[row + R_SOURCE]));
  }

  /** Whether a flow without ports is translated, so that the guard has to know its two ends (N60). */
  private needsMark(row: number): boolean {
    const { words } = this.flows;
    return portClass(words[row + KIND] & 0xff) === PortClass.other && words[row + R_DESTINATION] !== words[row + O_SOURCE];
  }
}

/** Zone of the bridge that a flow belongs to. */
function inside(zones: number): number {
  const back = zones >>> 16;
  return isUplink(back) ? zones & 0xffff : back;
}
