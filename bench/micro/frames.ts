/** Frames in a batch as the addon would have written them, and the parts of an engine around them. */
import type { Bridge } from '../../dist/bridge/bridge.js';
import { Flag } from '../../dist/bridge/port-table.js';
import { type Batch, VNET_BYTES } from '../../dist/core/batch.js';
import { ManualClock } from '../../dist/core/clock.js';
import { burstIoOptions } from '../../dist/engine/burst-io-options.js';
import { Engine } from '../../dist/engine/engine.js';
import { SimulatedIo } from '../../dist/engine/simulated-io.js';
import type { BurstIoOptions } from '../../dist/native/binding.js';
import { DescriptorPort } from '../../dist/port/descriptor-port.js';
import * as ethernet from '../../dist/wire/ethernet.js';
import * as ipv4 from '../../dist/wire/ipv4.js';
import * as udp from '../../dist/wire/udp.js';
import * as vnet from '../../dist/wire/vnet-header.js';

/** "64" with the frame check sequence that virtual ports do not have. */
export const SMALL_FRAME_BYTES = 60;
export const FLAGS = Flag.up | Flag.learning | Flag.floodUnicast | Flag.floodMulticast | Flag.floodBroadcast;
export const MTU = 1500;

const SLOT_BYTES = 128;
const LEAD_BYTES = 2 + VNET_BYTES;

/** Burst I/O that receives the same frames again and again; what is sent goes nowhere. */
export class ReplayIo extends SimulatedIo {
  /** Frames `receive` says have come; their columns and bytes are already in place. */
  frames = 0;

  override receive(): number {
    super.receive();
    return this.frames;
  }
}

export interface Rig {
  io: ReplayIo;
  engine: Engine;
  batch: Batch;
  bridge: Bridge;
}

/** An engine with one bridge and `ports` TAP ports, all their frames simulated. */
export function makeRig(ports: number): Rig {
  const ioOptions: BurstIoOptions = burstIoOptions(Math.max(64, ports));
  const io = new ReplayIo(ioOptions, new ManualClock());
  const engine = new Engine({ io, ioOptions });
  engine.addBridge(0, { ageingSeconds: 300, fdbLimit: 65_536, arpProxy: true, subnet: null, groupForwardMask: 0 });
  for (let port = 0; port < ports; port++) {
    const source = new DescriptorPort({ kind: 'tap', descriptor: port, vnetHeader: true, udpSegmentation: true });
    engine.addPort(port, source, { bridge: 0, flags: FLAGS, mtu: MTU, macLimit: 0 });
  }
  return { io, engine, batch: engine.batch, bridge: engine.bridges[0] as Bridge };
}

/** Lays out `count` frames of one size in bursts of 64, the bursts from one port after the other. */
export function layOut(batch: Batch, count: number, ports: number, length: number): void {
  const slot = length + LEAD_BYTES <= SLOT_BYTES ? SLOT_BYTES : 2048;
  for (let frame = 0; frame < count; frame++) {
    const at = frame * slot + LEAD_BYTES;
    batch.ingress[frame] = (frame >> 6) % ports;
    batch.at[frame] = at;
    batch.length[frame] = length;
    batch.bytes.fill(0, at - VNET_BYTES, at + length);
    ethernet.setEtherType(batch.bytes, at, ethernet.EtherType.ipv4);
  }
}

/** A MAC by number: locally administered, the rest scattered as a random one's would be. */
export function macOf(index: number): { high: number; low: number } {
  return { high: 0x0242, low: Math.imul(index + 1, 0x9e3779b1) };
}

/** Makes a laid-out frame a UDP datagram of one flow, as a TAP with offloads delivers it: checksum left to the receiver. */
export function fillDatagram(batch: Batch, frame: number, from: number, to: number, identification: number): void {
  const { bytes } = batch;
  const at = batch.at[frame];
  const ip = at + ethernet.HEADER_BYTES;
  const transport = ip + ipv4.HEADER_BYTES;
  const length = batch.length[frame];
  const source = macOf(from);
  const destination = macOf(to);
  ethernet.setSource(bytes, at, source.high, source.low);
  ethernet.setDestination(bytes, at, destination.high, destination.low);
  ipv4.emit(bytes, ip, {
    headerBytes: ipv4.HEADER_BYTES,
    tos: 0,
    totalLength: length - ethernet.HEADER_BYTES,
    identification,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    ttl: 64,
    protocol: ipv4.Protocol.udp,
    source: '198.18.0.1',
    destination: '198.18.0.2',
  });
  udp.emit(bytes, transport, { sourcePort: 40_000, destinationPort: 5001, length: length - (transport - at), checksum: 0x1234 });
  const start = transport - at;
  vnet.write(bytes, at - VNET_BYTES, vnet.Flag.needsChecksum, vnet.GsoType.none, 0, 0, start, udp.CHECKSUM);
}
