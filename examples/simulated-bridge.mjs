// A bridge with three stations in memory; no kernel, no root.
import {
  arp,
  burstIoOptions,
  DEFAULT_BRIDGE_SETTINGS,
  DEFAULT_PORT_FLAGS,
  describe,
  Engine,
  ethernet,
  flagBits,
  ManualClock,
  memoryPair,
  SimulatedIo,
} from 'tapbridge';

const clock = new ManualClock();
const ioOptions = burstIoOptions(8);
const engine = new Engine({ io: new SimulatedIo(ioOptions, clock), ioOptions });
engine.addBridge(0, DEFAULT_BRIDGE_SETTINGS);

const [a, b, c] = ['a', 'b', 'c'].map((name, number) => {
  const { port, peer } = memoryPair({ headerBytes: 0 });
  engine.addPort(number, port, { bridge: 0, flags: flagBits(DEFAULT_PORT_FLAGS, false), mtu: 1500, macLimit: 0 });
  return { name, peer, mac: `02:00:00:00:00:0${number + 1}`, ip: `10.0.0.${number + 1}` };
});

/** An ARP packet in an Ethernet frame. */
function arpFrame(operation, from, to, destination) {
  const frame = new Uint8Array(ethernet.HEADER_BYTES + arp.PACKET_BYTES);
  ethernet.emit(frame, 0, { destination, source: from.mac, etherType: ethernet.EtherType.arp });
  const targetMac = operation === arp.Operation.request ? '00:00:00:00:00:00' : to.mac;
  arp.emit(frame, ethernet.HEADER_BYTES, { operation, senderMac: from.mac, senderIp: from.ip, targetMac, targetIp: to.ip });
  return frame;
}

/** Sends a frame, runs the bridge once, and shows what came out where. */
function send(what, from, frame) {
  console.log(`\n${what}`);
  from.peer.send(frame);
  engine.step(0);
  for (const { name, peer } of [a, b, c]) {
    for (let got = peer.receive(); got !== undefined; got = peer.receive()) {
      console.log(`  ${name} gets ${describe(got.frame, 0, got.frame.length).replace(/, ethertype.*length \d+:/, '')}`);
    }
  }
}

const { request, reply } = arp.Operation;
send('a asks who has 10.0.0.3; nobody knows, it floods:', a, arpFrame(request, a, c, 'ff:ff:ff:ff:ff:ff'));
send('c answers; the bridge knows where a is:', c, arpFrame(reply, c, a, a.mac));
send('b asks the same; the bridge answers, c hears nothing of it:', b, arpFrame(request, b, c, 'ff:ff:ff:ff:ff:ff'));
clock.advanceSeconds(301);
send('five minutes later it has forgotten, and what is unknown floods:', b, arpFrame(reply, b, c, c.mac));
