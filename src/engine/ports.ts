/** The ports of an engine by number, beside the columns the forwarding decision reads (bridge/port-table.ts). */
import type { Fault } from '../port/fault.js';
import type { Port } from '../port/port.js';

const NO_PORTS = new Int32Array(0);

export class Ports {
  readonly port: (Port | null)[];
  readonly fault: (Fault | null)[];
  /** Ports that have to be asked for frames: those without a descriptor. */
  readonly polled: number[] = [];
  /** Ports with a fault injector. */
  readonly faulty: number[] = [];
  private readonly members: Int32Array[];

  constructor(ports: number, bridges: number) {
    this.port = new Array<Port | null>(ports).fill(null);
    this.fault = new Array<Fault | null>(ports).fill(null);
    this.members = new Array<Int32Array>(bridges).fill(NO_PORTS);
  }

  /** Port numbers of a bridge, ascending: the order of flooding. */
  ofBridge(bridge: number): Int32Array {
    return this.members[bridge];
  }

  add(number: number, bridge: number, port: Port): void {
    this.port[number] = port;
    // An uplink is no member of a bridge: nothing is flooded there.
    if (bridge >= 0) {
      this.members[bridge] = Int32Array.from([...this.members[bridge], number]).sort();
    }
    if (port.descriptor < 0) {
      this.polled.push(number);
    }
  }

  setFault(number: number, fault: Fault | null): void {
    this.fault[number] = fault;
    remove(this.faulty, number);
    if (fault !== null) {
      this.faulty.push(number);
    }
  }

  remove(number: number, bridge: number): void {
    this.port[number]?.close();
    this.port[number] = null;
    this.setFault(number, null);
    remove(this.polled, number);
    if (bridge >= 0) {
      this.members[bridge] = this.members[bridge].filter((member) => member !== number);
    }
  }
}

function remove(list: number[], value: number): void {
  const index = list.indexOf(value);
  if (index >= 0) {
    list.splice(index, 1);
  }
}
