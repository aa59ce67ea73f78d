/**
 * Warm-up: the engine's code, run over frames of its own before the first real one comes.
 *
 * V8 interprets a function until it has been called some thousand times. A bridge with little traffic would stay there for a while: an echo
 * every few milliseconds takes 0.72 of the time with the rehearsal (docs/performance.md, "What paid"). So every
 * thread handles the frames its users will most likely send first: single ones both ways, bursts of a flow and of several, super-frames,
 * ARP, broadcasts. It is another engine with other tables; only the compiled code stays.
 */
import { EntryKind } from '../bridge/fdb.js';
import { Flag } from '../bridge/port-table.js';
import { allocateBridge } from '../bridge/sharing.js';
import { VNET_BYTES } from '../core/batch.js';
import { DROP_REASONS, type DropReason, PORT, type PortCounters } from '../core/counters.js';
import { type BurstIoOptions, Status } from '../native/binding.js';
import { DescriptorPort } from '../port/descriptor-port.js';
import * as arp from '../wire/arp.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { burstIoOptions, Engine } from './engine.js';
import { DEFAULT_BRIDGE_SETTINGS } from './protocol.js';
import { SimulatedIo } from './simulated-io.js';

const PORTS = 3;
/** Of each rehearsal; in all some 450 rounds through the bursts. */
const PASSES = 1500;
/** More than the four kinds of object, and the one function, that a call site remembers: what has met so many takes the addon's, too. */
const REHEARSALS = 6;
/** The tables and the arena of a rehearsal need not be as large as real ones. */
const FDB_LIMIT = 1024;
const ARENA_BYTES = 1 << 19;
/** Bytes of the rehearsed datagrams. */
const PAYLOAD = 26;
const SUPER_PAYLOAD = 4000;
const IP = ethernet.HEADER_BYTES;
const L4 = IP + ipv4.HEADER_BYTES;
const SLOT_LEAD = 2 + VNET_BYTES;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const NETWORK = 0x0a000000;
const MAC_HIGH = 0x0200;

const DROPS = (Object.keys(DROP_REASONS) as DropReason[]).map((name) => PORT[name]);

const OPTIONS: BurstIoOptions = {
  ...burstIoOptions(PORTS),
  arenaBytes: ARENA_BYTES,
  receiveBytes: ARENA_BYTES / 2,
  batchFrames: 256,
  transmitWords: 1 << 12,
};

/** Frames of one pass: where each lies in the arena, how long it is, and the port it comes from. */
interface Burst {
  port: number;
  at: number[];
  length: number[];
}

function mac(port: number): string {
  return `02:00:00:00:00:0${port}`;
}

function ip(port: number): string {
  return `10.0.0.${port}`;
}

/** Burst I/O that receives prepared bursts by turns, and sends nothing. */
class Rehearsal extends SimulatedIo {
  private readonly bytes: Uint8Array;
  private readonly rows: Int32Array;
  private readonly cells: Float64Array;
  private readonly capacity: number;
  private readonly bursts: Burst[] = [];
  private end = 0;
  private turn = 0;

  constructor(options: BurstIoOptions) {
    super(options, { micros: () => performance.now() * 1000 });
    this.bytes = new Uint8Array(this.arena);
    this.rows = new Int32Array(this.received);
    this.cells = new Float64Array(this.status);
    this.capacity = options.batchFrames;
    for (const port of [0, 1]) {
      const other = 1 - port;
      // Echoes, questions, acknowledgements: most of what a quiet bridge sees is one frame a pass. They come more often for that.
      for (let times = 0; times < 4; times++) this.prepare(port, 1, () => this.datagram(port, other, 0));
      this.prepare(port, 1, () => this.segment(port, other));
      this.prepare(port, 4, () => this.segment(port, other));
      this.prepare(port, 64, () => this.datagram(port, other, 0));
      this.prepare(port, 64, (frame) => this.datagram(port, other, frame % 16));
      this.prepare(port, 1, () => this.request(port, ip(other)));
      this.prepare(port, 1, () => this.request(port, ip(9)));
    }
  }

  rehearse(): number {
    super.receive();
    const { port, at, length } = this.bursts[this.turn++ % this.bursts.length];
    for (let frame = 0; frame < at.length; frame++) {
      this.rows[frame] = port;
      this.rows[this.capacity + frame] = at[frame];
      this.rows[2 * this.capacity + frame] = length[frame];
    }
    this.cells[Status.arenaEnd] = this.end;
    return at.length;
  }

  private prepare(port: number, frames: number, write: (frame: number) => number): void {
    const burst: Burst = { port, at: [], length: [] };
    for (let frame = 0; frame < frames; frame++) {
      burst.at.push(this.end + SLOT_LEAD);
      burst.length.push(write(frame));
      this.end = (this.end + SLOT_LEAD + burst.length[frame] + 63) & ~63;
    }
    this.bursts.push(burst);
  }

  private packet(port: number, other: number, protocol: number, l4Bytes: number): number {
    const at = this.end + SLOT_LEAD;
    ethernet.emit(this.bytes, at, { destination: mac(other), source: mac(port), etherType: ethernet.EtherType.ipv4 });
    ipv4.emit(this.bytes, at + IP, {
      headerBytes: ipv4.HEADER_BYTES,
      tos: 0,
      totalLength: ipv4.HEADER_BYTES + l4Bytes,
      identification: 0,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: 64,
      protocol,
      source: ip(port),
      destination: ip(other),
    });
    return at;
  }

  private datagram(port: number, other: number, flow: number): number {
    const length = udp.HEADER_BYTES + PAYLOAD;
    const at = this.packet(port, other, ipv4.Protocol.udp, length);
    udp.emit(this.bytes, at + L4, { sourcePort: 1000 + flow, destinationPort: 2000, length, checksum: 0 });
    vnet.write(this.bytes, at - VNET_BYTES, vnet.Flag.needsChecksum, vnet.GsoType.none, 0, 0, L4, udp.CHECKSUM);
    return L4 + length;
  }

  /** Of TCP: a super-frame. */
  private segment(port: number, other: number): number {
    const at = this.packet(port, other, ipv4.Protocol.tcp, tcp.HEADER_BYTES + SUPER_PAYLOAD);
    this.bytes[at + L4 + 12] = 5 << 4;
    vnet.write(
      this.bytes,
      at - VNET_BYTES,
      vnet.Flag.needsChecksum,
      vnet.GsoType.tcpv4,
      L4 + tcp.HEADER_BYTES,
      1448,
      L4,
      tcp.CHECKSUM,
    );
    return L4 + tcp.HEADER_BYTES + SUPER_PAYLOAD;
  }

  private request(port: number, target: string): number {
    const at = this.end + SLOT_LEAD;
    ethernet.emit(this.bytes, at, { destination: BROADCAST, source: mac(port), etherType: ethernet.EtherType.arp });
    const wanted = NETWORK + Number(target.split('.')[3]);
    arp.write(this.bytes, at + IP, arp.Operation.request, MAC_HIGH, port, NETWORK + port, 0, 0, wanted);
    return 60;
  }
}

/**
 * Takes 0.1 to 0.2 s, once a thread.
 * @param shared over tables as several threads share them: each kind of table has code of its own, and what is rehearsed with one is undone by
 * the first frame with the other
 * @returns frames received, sent, and lost for whatever reason: a rehearsal that loses frames rehearses the wrong thing
 */
export function warmUp(shared: boolean): { received: number; sent: number; lost: number } {
  const total = { received: 0, sent: 0, lost: 0 };
  // Several times over, because what the code has met only once it takes for what will always be: the arena, the class of the burst I/O. The first
  // real frame would undo what was compiled for that.
  for (let times = 0; times < REHEARSALS; times++) {
    const Io = class extends Rehearsal {
      override receive = () => this.rehearse();
      override send = () => 0;
    };
    const counters = rehearse(new Io(OPTIONS), shared);
    for (let port = 0; port < PORTS; port++) {
      total.received += counters.get(port, PORT.rx_frames);
      total.sent += counters.get(port, PORT.tx_frames);
      for (const drop of DROPS) total.lost += counters.get(port, drop);
    }
  }
  return total;
}

function rehearse(io: Rehearsal, shared: boolean): PortCounters {
  const engine = new Engine({ io, ioOptions: OPTIONS });
  const settings = { ...DEFAULT_BRIDGE_SETTINGS, fdbLimit: FDB_LIMIT };
  engine.addBridge(0, settings, shared ? allocateBridge(FDB_LIMIT, PORTS) : undefined);
  const flags = Flag.up | Flag.learning | Flag.floodUnicast | Flag.floodMulticast | Flag.floodBroadcast;
  for (let number = 0; number < PORTS; number++) {
    const port = new DescriptorPort({ kind: 'tap', descriptor: number, vnetHeader: true, udpSegmentation: true });
    engine.addPort(number, port, { bridge: 0, flags, mtu: 1500, macLimit: 0 });
    engine.pin(0, 0, MAC_HIGH, number, number, EntryKind.static);
    engine.bridges[0]?.neighbors.pin(NETWORK + number, number, MAC_HIGH);
  }
  for (let pass = 0; pass < PASSES; pass++) engine.step(0);
  engine.close();
  return engine.portCounters;
}
