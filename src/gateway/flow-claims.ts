/**
 * What a flow holds while it lives, and gives back when it ends: a reference to its NAT mapping, a place among the mapping's contacts, or, without
 * ports of its own, a mark of the guard.
 */
import { FLOW, FLOW_SHIFT, Removal, type RemovalReason } from '../conntrack/flow-layout.js';
import type { FlowTable } from '../conntrack/flow-table.js';
import { GATEWAY, type GatewayCounters } from '../core/counters.js';
import type { MappingTable } from '../nat/mapping-table.js';
import { otherIndex, PortClass, type PortGuard, portClass } from '../nat/port-guard.js';
import type { FilterTable } from './filter-table.js';
import { isUplink } from './zones.js';

const { oSource: O_SOURCE, rSource: R_SOURCE, rDestination: R_DESTINATION } = FLOW;
const { zones: ZONES, mapping: MAPPING, kind: KIND } = FLOW;

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
      const protocol = words[row + KIND] & 0xff;
      this.guard.mark(words[row + R_DESTINATION], protocol, otherIndex(protocol, words[row + R_SOURCE]));
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
