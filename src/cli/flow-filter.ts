/** The options that choose flows, the same for show, flows watch and flows flush. */
import type { Command } from 'commander';
import type { FlowQuery } from '../control/model.js';
import { UsageError } from './failure.js';
import { wholeNumber } from './values.js';

export interface FilterOptions {
  address?: string;
  port?: string;
  proto?: string;
  state?: string;
  container?: string;
}

const NAMES = ['address', 'port', 'proto', 'state', 'container'] as const satisfies (keyof FilterOptions)[];

/** @param of what they choose from, for the help */
export function withFilterOptions(command: Command, of = 'flows'): Command {
  return command
    .option('--address <ip|cidr>', `only ${of} with this address at either end, before or after translation`)
    .option('--port <n>', `only ${of} with this port at either end; of ICMP the id`)
    .option('--proto <protocol>', `only ${of} of tcp, udp, icmp or a protocol number`)
    .option('--state <state>', `only ${of} in this state, e.g. established or unreplied`)
    .option('--container <port>', `only ${of} of the container behind this port`);
}

/** @throws UsageError */
export function flowQuery({ address, port, proto, state, container }: FilterOptions): FlowQuery {
  return {
    address,
    port: port === undefined ? undefined : wholeNumber('--port', port),
    protocol: proto?.toLowerCase(),
    state: state?.toLowerCase(),
    portName: container,
  };
}

/** For commands that take them in one case only. @throws UsageError */
export function refuseFilter(options: FilterOptions): void {
  const given = NAMES.find((name) => options[name] !== undefined);
  if (given !== undefined) throw new UsageError(`--${given} chooses flows`, 'add "flows", or leave it out');
}
