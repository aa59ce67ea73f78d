/** A batch, egress lists and tables for parts of the gateway, without an engine. */
import { Egress } from '../../src/bridge/egress.js';
import { Batch } from '../../src/core/batch.js';
import { Counters, GATEWAY_COUNTERS, type GatewayCounter, PORT_COUNTERS } from '../../src/core/counters.js';
import { FIRST_UPLINK, ZONES, ZoneFlag, Zones } from '../../src/gateway/zones.js';
import * as ethernet from '../../src/wire/ethernet.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import * as vnet from '../../src/wire/vnet-header.js';
import type { Packet } from '../helpers/packet.js';

export const UPLINK = FIRST_UPLINK;
export const UPLINK_PORT = 9;
export const OWN_MAC = '02:00:00:00:aa:01';
export const UPLINK_MAC = '02:00:00:00:bb:01';
const RECEIVED_BYTES = 1 << 19;

export const ip = parseIpv4;

/** 192.168.7.2/24 on uplink 0, 10.9.0.254/24 on bridge 0, whose host port is 8. */
export function twoZones(): Zones {
  const zones = new Zones();
  const common = { macHigh: 0x0200, mtu: 1500, flags: ZoneFlag.up };
  zones.set(0, { ...common, macLow: 0xaa01, address: ip('10.9.0.254'), prefix: 24, port: 8 });
  zones.set(UPLINK, { ...common, macLow: 0xbb01, address: ip('192.168.7.2'), prefix: 24, port: UPLINK_PORT });
  return zones;
}

export class MadeBatch {
  readonly batch: Batch;
  readonly egress = new Egress(16, 4);
  readonly counters = new Counters(GATEWAY_COUNTERS, ZONES);
  readonly portCounters = new Counters(PORT_COUNTERS, 16);
  private receivedAt = 0;

  constructor(madeBytes = 1 << 19, capacity = 256) {
    const arena = new ArrayBuffer(RECEIVED_BYTES + madeBytes);
    new Uint8Array(arena).fill(0xa5);
    this.batch = new Batch(arena, new ArrayBuffer(capacity * 12), capacity, RECEIVED_BYTES, arena.byteLength);
    this.begin(1000_000_000);
  }

  /** Starts a pass at a time in microseconds. */
  begin(micros: number): void {
    this.egress.clear();
    this.batch.begin(0, micros);
    this.receivedAt = 0;
  }

  /** A pass so many seconds later. */
  later(seconds: number): void {
    this.begin(this.batch.now + seconds * 1_000_000);
  }

  /** A frame as if it had been received; its number. */
  add({ frame, vnet: header }: Packet, ingress = 1): number {
    const { batch } = this;
    const number = batch.count++;
    const at = this.receivedAt + 2 + vnet.HEADER_BYTES;
    batch.bytes.set(header, at - vnet.HEADER_BYTES);
    batch.bytes.set(frame, at);
    batch.at[number] = at;
    batch.length[number] = frame.length;
    batch.ingress[number] = ingress;
    this.receivedAt = (at + frame.length + 63) & ~63;
    return number;
  }

  addBare(frame: Uint8Array, ingress = 1): number {
    return this.add({ frame, vnet: new Uint8Array(vnet.HEADER_BYTES) }, ingress);
  }

  /** Offset of a frame's IP header. */
  ip(frame: number): number {
    return this.batch.at[frame] + ethernet.HEADER_BYTES;
  }

  bytesOf(frame: number): Uint8Array {
    const at = this.batch.at[frame];
    return this.batch.bytes.slice(at, at + this.batch.length[frame]);
  }

  vnetOf(frame: number): Uint8Array {
    const at = this.batch.at[frame];
    return this.batch.bytes.slice(at - vnet.HEADER_BYTES, at);
  }

  /** Frames on the list of a port. */
  onPort(port: number): Uint8Array[] {
    return this.list(this.egress.unicast.head[port]);
  }

  /** Frames flooded on a bridge. */
  onBridge(bridge: number): Uint8Array[] {
    return this.list(this.egress.flood.head[bridge]);
  }

  count(counter: GatewayCounter, zone = UPLINK): number {
    return this.counters.snapshot(zone)[counter];
  }

  private list(head: number): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let frame = head; frame >= 0; frame = this.batch.next[frame]) {
      frames.push(this.bytesOf(frame));
    }
    return frames;
  }
}
