/** ARP requests of the gateway, limited for each zone (A17). */
import { type Egress, FloodClass } from '../bridge/egress.js';
import { type Batch, INGRESS_SELF } from '../core/batch.js';
import { GATEWAY, type GatewayCounters, PORT, type PortCounters } from '../core/counters.js';
import * as arp from '../wire/arp.js';
import * as ethernet from '../wire/ethernet.js';
import { TokenBuckets } from './rate-limit.js';
import { ZONES, type Zones } from './zones.js';

const PER_SECOND = 100;
const BURST = 200;
const FRAME_BYTES = ethernet.HEADER_BYTES + arp.PACKET_BYTES;

export class ArpRequests {
  private readonly zones: Zones;
  private readonly counters: GatewayCounters;
  private readonly portCounters: PortCounters;
  private readonly limit = new TokenBuckets(ZONES, PER_SECOND, BURST);

  constructor(zones: Zones, counters: GatewayCounters, portCounters: PortCounters) {
    this.zones = zones;
    this.counters = counters;
    this.portCounters = portCounters;
  }

  /**
   * Asks who has an address, in the name of the zone's own.
   * @param high, low whom to ask: broadcast, or a MAC that is to confirm the address
   * @param port where to; -1: all ports of the zone's bridge
   * @returns false when the limit is reached or the batch is full
   */
  send(batch: Batch, egress: Egress, zone: number, ip: number, high: number, low: number, port: number): boolean {
    if (!this.limit.take(zone, batch.now)) {
      return false;
    }
    const made = batch.append(INGRESS_SELF, FRAME_BYTES);
    if (made < 0) {
      return false;
    }
    const { macHigh, macLow, address, bridge } = this.zones;
    const { bytes } = batch;
    const at = batch.at[made];
    ethernet.setDestination(bytes, at, high, low);
    ethernet.setSource(bytes, at, macHigh[zone], macLow[zone]);
    ethernet.setEtherType(bytes, at, ethernet.EtherType.arp);
    const packet = at + ethernet.HEADER_BYTES;
    arp.write(bytes, packet, arp.Operation.request, macHigh[zone], macLow[zone], address[zone], 0, 0, ip);
    if (port >= 0) {
      egress.toPort(batch, made, port);
      this.portCounters.add(port, PORT.made, 1);
    } else if (bridge[zone] >= 0) {
      egress.toAll(batch, made, bridge[zone], FloodClass.broadcast);
    }
    this.counters.add(zone, GATEWAY.arp_sent, 1);
    return true;
  }
}
