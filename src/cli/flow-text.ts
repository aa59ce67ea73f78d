/** Flows as lines, in the manner of `conntrack -L` and `conntrack -E`. */
import type { FlowEnds, FlowEvent, FlowInfo } from '../control/model.js';

const PROTOCOL_WIDTH = 4;
const TIMEOUT_WIDTH = 6;
const EVENT_WIDTH = 9;

/** Protocol, seconds left, state, the tuple of each direction with what was counted, [ASSURED], age, and the container's port. */
export function flowLine(flow: FlowInfo): string {
  const { protocol, timeout, state, original, reply, packets, bytes, assured, age, port } = flow;
  return [
    protocol.padEnd(PROTOCOL_WIDTH),
    String(Math.round(timeout)).padStart(TIMEOUT_WIDTH),
    state.toUpperCase(),
    endsText(protocol, original),
    `packets=${packets.original} bytes=${bytes.original}`,
    endsText(protocol, reply),
    `packets=${packets.reply} bytes=${bytes.reply}`,
    ...(assured ? ['[ASSURED]'] : []),
    `age=${Math.round(age)}`,
    `port=${port ?? '-'}`,
  ].join(' ');
}

/** The event in front, the bridge and the reason of an end behind. */
export function eventLine({ event, reason, flow, lost }: FlowEvent): string {
  const kind = `[${event.toUpperCase()}]`.padStart(EVENT_WIDTH);
  if (flow === undefined) return `${kind} ${lost ?? 0} events that were not taken in time`;
  return `${kind} ${flowLine(flow)} bridge=${flow.bridge}${reason === undefined ? '' : ` reason=${reason}`}`;
}

function endsText(protocol: string, { source, destination, sourcePort, destinationPort }: FlowEnds): string {
  const addresses = `src=${source} dst=${destination}`;
  if (sourcePort === null) return addresses;
  return protocol === 'icmp' ? `${addresses} id=${sourcePort}` : `${addresses} sport=${sourcePort} dport=${destinationPort}`;
}
