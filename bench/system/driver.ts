/** The first axis of the system bench: what connects the hosts. */
import type { Lab } from '../../dist/lab/lab.js';
import type { LabHost } from '../../dist/lab/lab-host.js';
import type { LabNamespace } from '../../dist/lab/lab-namespace.js';

/** Test addresses of RFC 2544. */
export const A = '198.18.0.1';
export const B = '198.18.0.2';
export const SUBNET = '198.18.0.0/24';

/** A further port: an interface in a namespace without a process, many of which may share the namespace. */
export interface SparePort {
  namespace: LabNamespace;
  /** What the interface shall be called there. It has no address. */
  ifname: string;
}

/** What a driver is asked to connect. */
export interface Wiring {
  a: LabHost;
  b: LabHost;
  spare: readonly SparePort[];
}

/** What came of it. */
export interface Connection {
  /** Where b answers when a asks, and the reverse: A and B, unless the driver translates addresses. */
  addressOfA: string;
  addressOfB: string;
  /** Processes that are the driver's: their memory and CPU time are its own. Empty for the kernel's. */
  processes: readonly number[];
}

/** Something that forwards between hosts. */
export interface Driver {
  name: string;
  /** What it is to the others: all ratios are to the reference; a ceiling forwards nothing. */
  role: 'reference' | 'baseline' | 'ceiling' | 'subject' | 'peer';
  /** One line for the report: what is between the hosts. */
  what: string;
  /** Programs it cannot do without, and the Debian packages that have them. */
  needs?: readonly { command: string; package: string }[];
  /** 2: passes any frame. 3: only what its own IP stack understands, opened by a. */
  layer: 2 | 3;
  /** Whether a is inside of a gateway, or of what stands for one, and b outside: for the types that measure that. */
  nat?: boolean;
  /** Whether its hosts are containers of a real engine. */
  containers?: boolean;
  /** Whether it keeps idle cores awake itself, which takes root of the machine: that of a user namespace may not. */
  awake?: boolean;
  /** Whether echoes pass. */
  ping: boolean;
  /** Ports it can have, a and b included. */
  maxPorts: number;
  /** Makes a and b, where they are not the lab's. */
  makeHosts?(lab: Lab): Promise<Pick<Wiring, 'a' | 'b'>>;
  /** Gives host a the address A on eth0, host b the address B, spare ports none, and connects all. */
  connect(lab: Lab, wiring: Wiring): Promise<Connection>;
}

/** The hosts a driver connects. */
export async function hostsOf({ makeHosts }: Driver, lab: Lab): Promise<Pick<Wiring, 'a' | 'b'>> {
  if (makeHosts !== undefined) return makeHosts(lab);
  const [a, b] = await Promise.all([lab.host('a'), lab.host('b')]);
  return { a, b };
}
