/** What the engine tells unasked: to whom it goes, and how the log says it. */
import type { EngineEvent } from '../engine/protocol.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import type { ControlContext } from './context.js';
import type { PortWatch } from './port-watch.js';
import { macText } from './records.js';

/** Moves of one MAC in a second that look like a loop. */
const MANY_MOVES = 5;

export function onEngineEvent(context: ControlContext, watch: PortWatch, event: EngineEvent): void {
  const { log, ports } = context;
  const nameOf = (bridge: number) =>
    [...context.bridges.values()].find(({ number }) => number === bridge)?.name ?? String(bridge);
  switch (event.event) {
    case 'captured':
      context.captures.get(event.capture)?.arrived();
      break;
    case 'port-failed':
      if (!context.gateway.failed(event.port, event.errno)) watch.failed(event.port, event.errno);
      break;
    case 'replay-ended': {
      const found = ports.get(event.port);
      if (found === undefined) return;
      found.port.state = 'ended';
      log.info({ bridge: found.bridge.name, port: found.port.name }, `replay ${found.port.name} is through`);
      break;
    }
    case 'fdb-moved': {
      const name = (number: number) => ports.get(number)?.port.name ?? String(number);
      const { vlan, times } = event;
      const fields = { mac: macText(event.mac), vlan, from: name(event.from), to: name(event.to), times };
      if (times > MANY_MOVES)
        log.warn(fields, `${fields.mac} moves between ports again and again: a loop, or two stations with one address`);
      else log.debug(fields, `${fields.mac} moved`);
      break;
    }
    case 'fdb-full':
      log.warn({ bridge: nameOf(event.bridge) }, 'the FDB is full: unknown stations are not learned, their frames are flooded');
      break;
    case 'arp-conflict': {
      const fields = { bridge: nameOf(event.bridge), ip: formatIpv4(event.ip), mac: macText(event.claimed) };
      log.warn(fields, `${fields.mac} claims ${fields.ip}, the address of another station`);
      break;
    }
    case 'gateway-pressure':
      context.gateway.pressure(event);
      break;
    case 'flow-events':
      // The ring counts what is lost, and the watchers are told from there.
      log.debug({ lost: event.lost }, 'flow events were lost');
  }
}
