/**
 * The gateway's decision about a datagram from a container: checks, flow lookup, tracking, translation, next hop, egress list; no I/O. 1,024 frames of
 * 18 bytes of payload with a partial checksum, as a TAP gives them, each of another flow. Argument: flows in the table, or "open" for datagrams that
 * each open a flow (a mapping for every 64th: sockets that talk to many), with as many ended.
 */
import { Egress } from '../../dist/bridge/egress.js';
import { EntryKind, fdbKey } from '../../dist/bridge/fdb.js';
import { UPLINK } from '../../dist/bridge/port-table.js';
import { TIMEOUTS_RFC } from '../../dist/conntrack/timeouts.js';
import { GATEWAY } from '../../dist/core/counters.js';
import { Random } from '../../dist/core/random.js';
import { execute } from '../../dist/engine/commands.js';
import type { Gateway } from '../../dist/gateway/gateway.js';
import { FIRST_UPLINK } from '../../dist/gateway/zones.js';
import { memoryPair } from '../../dist/port/memory-port.js';
import * as arp from '../../dist/wire/arp.js';
import * as checksum from '../../dist/wire/checksum.js';
import * as ethernet from '../../dist/wire/ethernet.js';
import * as ipv4 from '../../dist/wire/ipv4.js';
import * as udp from '../../dist/wire/udp.js';
import * as vnet from '../../dist/wire/vnet-header.js';
import { layOut, makeRig, SMALL_FRAME_BYTES } from './frames.js';
import { expectEqual, measure } from './measure.js';

const FRAMES = 1024;
const BURST = 64;
const SOCKETS = 64;
const FLOW_LIMIT = 262_144;
const NETWORK = 0x0a00_0000;
const OUTER = 0xc000_0201 | 0;
const ROUTER = 0xc000_02fe | 0;
const FAR = 0xc633_6400 | 0;
const UPLINK_PORT = 20;
const UDP_BYTES = SMALL_FRAME_BYTES - ethernet.HEADER_BYTES - ipv4.HEADER_BYTES;

const variant = process.argv[2] ?? '100000';
const opening = variant === 'open';
const flows = opening ? 0 : Number(variant);
const { engine, batch } = makeRig(16);

/** Datagram `number`, of the flow of this number: another remote port and host for each, 64 sockets of one container. */
function writeDatagram(frame: number, number: number): void {
  const { bytes } = batch;
  const at = batch.at[frame];
  const ip = at + ethernet.HEADER_BYTES;
  const l4 = ip + ipv4.HEADER_BYTES;
  batch.ingress[frame] = 0;
  batch.length[frame] = SMALL_FRAME_BYTES;
  ethernet.setDestination(bytes, at, 0x0200, 0xaa01);
  ethernet.setSource(bytes, at, 0x0200, 1);
  ethernet.setEtherType(bytes, at, ethernet.EtherType.ipv4);
  ipv4.write(bytes, ip, 0, ipv4.HEADER_BYTES + UDP_BYTES, 7, 64, ipv4.Protocol.udp, NETWORK | 1, (FAR + (number >>> 16)) | 0);
  bytes[ip + 6] = 0x40;
  ipv4.fillHeaderChecksum(bytes, ip);
  udp.setSourcePort(bytes, l4, 40_000 + (number % SOCKETS));
  udp.setDestinationPort(bytes, l4, number & 0xffff);
  udp.setDatagramLength(bytes, l4, UDP_BYTES);
  udp.setChecksumField(bytes, l4, checksum.pseudoIpv4(bytes, ip, ipv4.Protocol.udp, UDP_BYTES));
  vnet.write(bytes, at - vnet.HEADER_BYTES, vnet.Flag.needsChecksum, 0, 0, 0, l4 - at, udp.CHECKSUM);
}

function openGateway(): Gateway {
  const ranges = [[20_000, 60_000]] as const;
  const settings = { filter: 'apdf', ranges, timeouts: { ...TIMEOUTS_RFC }, loose: true, liberal: false } as const;
  execute(engine, 'open-gateway', { flowLimit: FLOW_LIMIT, flowShare: FLOW_LIMIT, guard: -1, settings });
  const gateway = engine.gateway as Gateway;
  engine.addPort(UPLINK_PORT, memoryPair().port, { bridge: UPLINK, flags: 1, mtu: 1500, macLimit: 0 });
  gateway.settings.setUplink(
    0,
    { port: UPLINK_PORT, macHigh: 0x0200, macLow: 0xbb01, mtu: 1500, address: OUTER, addresses: [OUTER], up: true },
    0,
  );
  execute(engine, 'set-routes', {
    routes: [{ network: 0, prefix: 0, gateway: ROUTER, metric: 0, type: 'unicast', uplink: 0, mtu: 0 }],
    locals: Int32Array.of(OUTER, NETWORK | 254),
    broadcasts: new Int32Array(0),
  });
  execute(engine, 'set-gateway', {
    bridge: 0,
    settings: {
      hostPort: 1,
      mac: { high: 0x0200, low: 0xaa01 },
      address: NETWORK | 254,
      network: NETWORK,
      prefix: 24,
      mtu: 1500,
      uplink: -1,
      internal: false,
      egressAddress: 0,
      mssClamp: 'auto',
      rules: [],
    },
  });
  engine.bridges[0]?.fdb.pin(0xaa01, fdbKey(0, 0x0200), 1, EntryKind.local);
  return gateway;
}

/** The router answers the request that the first datagram makes the gateway send. */
function findRouter(): void {
  writeDatagram(0, 0);
  egress.toGateway(batch, 0);
  gateway.forward(batch, egress);
  egress.gateway.clear();
  const { bytes } = batch;
  const at = batch.at[0];
  ethernet.setDestination(bytes, at, 0x0200, 0xbb01);
  ethernet.setSource(bytes, at, 0x0200, 0xcc01);
  ethernet.setEtherType(bytes, at, ethernet.EtherType.arp);
  arp.write(bytes, at + ethernet.HEADER_BYTES, arp.Operation.reply, 0x0200, 0xcc01, ROUTER, 0x0200, 0xbb01, OUTER);
  gateway.resolver.heard(batch, 0, FIRST_UPLINK);
  gateway.settle(batch, egress);
  egress.clear();
  batch.begin(FRAMES, 1_000_000);
}

batch.begin(FRAMES, 1_000_000);
layOut(batch, FRAMES, 1, SMALL_FRAME_BYTES);
const gateway = openGateway();
const egress = new Egress(24, 1);
findRouter();

function forward(): void {
  for (let from = 0; from < FRAMES; from += BURST) {
    for (let frame = from; frame < from + BURST; frame++) egress.toGateway(batch, frame);
    gateway.forward(batch, egress);
    egress.gateway.clear();
  }
}

gateway.conntrack.removeWhere(() => true, 4, 1);
for (let number = 0; number < flows; number += FRAMES) {
  for (let frame = 0; frame < FRAMES; frame++) writeDatagram(frame, (number + frame) % flows);
  forward();
  egress.clear();
}
if (!opening) expectEqual('flows', gateway.conntrack.flows.size, flows);

const random = new Random(7);
let next = 0;
let made = 0;
measure({
  units: FRAMES,
  prepare() {
    egress.clear();
    if (opening && gateway.conntrack.flows.size > FLOW_LIMIT - FRAMES) {
      gateway.conntrack.removeWhere(() => true, 4, 1);
    }
    for (let frame = 0; frame < FRAMES; frame++) {
      writeDatagram(frame, opening ? next++ & 0xff_ffff : random.below(flows));
    }
  },
  run() {
    forward();
  },
  check(runs) {
    made = gateway.conntrack.flows.size;
    const forwarded = engine.gatewayCounters.get(0, GATEWAY.forwarded_out);
    expectEqual('datagrams forwarded', Number(forwarded >= runs * FRAMES), 1);
    if (!opening) expectEqual('flows at the end', made, flows);
  },
});
