/**
 * What `import { ... } from 'tapbridge'` offers: a client of the daemon, the model and the engine to run without one, a bridge of memory ports for
 * simulations, and the wire formats.
 */
export { Bridge, type BridgeOptions } from './bridge/bridge.js';
export { EntryKind, type FdbEntry } from './bridge/fdb.js';
export type { NeighborEntry } from './bridge/neighbor-table.js';
export { type Capture, Client, connect, type FlowWatch } from './client/client.js';
export { ClientError, NoAnswer } from './client/client-error.js';
export { type PcapngEvent, PcapngReader } from './client/pcapng-reader.js';
export type { CaptureSession } from './control/capture-session.js';
export { Control, type ControlOptions } from './control/control.js';
export { ControlError, type ControlErrorCode } from './control/control-error.js';
export type { EngineLink } from './control/engine-link.js';
export type { Log } from './control/log.js';
export type * from './control/model.js';
export { DEFAULT_SOCKET, DEFAULT_STATE } from './control/paths.js';
export { StateStore } from './control/state-store.js';
export { Batch } from './core/batch.js';
export { type Clock, ManualClock } from './core/clock.js';
export {
  BRIDGE_COUNTERS,
  type BridgeCounter,
  type BridgeCounters,
  type CounterView,
  DROP_REASONS,
  type DropReason,
  GATEWAY_COUNTERS,
  GATEWAY_DROPS,
  type GatewayCounter,
  type GatewayDrop,
  INTERFACE_DROP_REASONS,
  type InterfaceDrop,
  PORT_COUNTERS,
  type PortCounter,
  type PortCounters,
} from './core/counters.js';
export { Random } from './core/random.js';
export { Transmit } from './core/transmit.js';
export { burstIoOptions } from './engine/burst-io-options.js';
export { flagBits } from './engine/commands.js';
export { type Attachment, Engine, type EngineOptions } from './engine/engine.js';
export { EngineGroup, type EngineGroupOptions } from './engine/engine-group.js';
export { EngineThread, type EngineThreadOptions } from './engine/engine-thread.js';
export * from './engine/protocol.js';
export { SimulatedIo } from './engine/simulated-io.js';
export { type Binding, loadBinding } from './native/binding.js';
export { SystemError } from './native/system-error.js';
export { Netlink } from './netlink/netlink.js';
export { Netns } from './netlink/netns.js';
export { CaptureFile, type CaptureFileOptions } from './port/capture-file.js';
export { CapturePort } from './port/capture-port.js';
export { DescriptorPort } from './port/descriptor-port.js';
export { Fault } from './port/fault.js';
export { type MemoryFrame, type MemoryOptions, MemoryPeer, MemoryPort, memoryLink, memoryPair } from './port/memory-port.js';
export { PcapError, type RecordedFrame, readPcap } from './port/pcap-reader.js';
export { pcapHeader, pcapRecord } from './port/pcap-writer.js';
export * as pcapng from './port/pcapng-writer.js';
export type { Port, PortKind } from './port/port.js';
export { collectReplay, loadReplay, type ReplayFrames, type ReplayLimits } from './port/replay-frames.js';
export { type ReplayOptions, ReplayPort } from './port/replay-port.js';
export * as arp from './wire/arp.js';
export * as checksum from './wire/checksum.js';
export { describe } from './wire/describe.js';
export * as ethernet from './wire/ethernet.js';
export * as icmp from './wire/icmp.js';
export * as ipv4 from './wire/ipv4.js';
export { formatIpv4, Ipv4Cidr, parseIpv4, parseIpv4Cidr } from './wire/ipv4-address.js';
export * as ipv6 from './wire/ipv6.js';
export { formatMac, type MacAddress, parseMac, randomMac } from './wire/mac-address.js';
export * as tcp from './wire/tcp.js';
export * as udp from './wire/udp.js';
export * as vlan from './wire/vlan.js';
export * as vnetHeader from './wire/vnet-header.js';
