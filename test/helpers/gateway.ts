/** Gateway labs for tests that are run against tapbridge and against the kernel's NAT, conversations in them, and raw frames beside the stacks. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import { ADDRESS, GatewayLab, type GatewayLabOptions } from '../../src/lab/gateway-lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import type { Heard, Opened } from '../../src/lab/sockets.js';
import { check } from '../../src/native/system-error.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { formatIpv4 } from '../../src/wire/ipv4-address.js';
import { Bench, binding, joined, Kind, PLAIN } from '../native/lab.js';
import { describeSystem, type Requirement } from './requirements.js';
import { THREADS } from './threads.js';

export type DriverName = GatewayLabOptions['driver'];
const NEEDS: Record<DriverName, Requirement[]> = { tapbridge: ['root', 'tap'], kernel: ['root', 'tap', 'tool:nft'] };

/** The tests of `body`, once with each driver, or those given; the lab is theirs together. `checksums: 'checked'` where ethtool is needed anyway. */
export function describeGateways(
  title: string,
  { daemonOptions = [], ...options }: Omit<GatewayLabOptions, 'driver'>,
  body: (lab: () => GatewayLab, driver: DriverName) => void,
  drivers: readonly DriverName[] = ['kernel', 'tapbridge'],
): void {
  for (const driver of drivers) {
    const ethtool: Requirement[] = options.checksums === 'checked' ? ['tool:ethtool'] : [];
    describeSystem(`${title}, ${driver}`, [...NEEDS[driver], ...ethtool], () => {
      let lab: GatewayLab;
      beforeAll(async () => {
        lab = await GatewayLab.start({ ...options, driver, daemonOptions: ['--threads', String(THREADS), ...daemonOptions] });
      });
      afterAll(() => lab?.close());
      body(() => lab, driver);
    });
  }
}

/** A socket for `askUdp`. @param port default: the kernel chooses */
export function udpServer(host: LabHost, port = 0): Promise<Opened> {
  return host.request('udp-open', { port });
}

export interface Exchange {
  /** The question as the server heard it, and from whom; null: it never came. */
  question: Heard | null;
  /** The answer as the client heard it. */
  answer: Heard | null;
}

export interface AskOptions {
  text?: string;
  reply?: string;
  /** Of the client; default: one for this exchange. */
  socket?: number;
  /** For the question. */
  waitMillis?: number;
}

/** A datagram there and one back. The client's socket is closed unless it is given. */
export async function askUdp(
  client: LabHost,
  to: { address: string; port: number },
  server: { host: LabHost; socket: number },
  { text = 'question', reply = `answer to ${text}`, socket, waitMillis = 5000 }: AskOptions = {},
): Promise<Exchange> {
  const own = socket ?? (await client.request('udp-open', {})).socket;
  try {
    await client.request('say', { socket: own, text, ...to });
    const question = await server.host.request('hear', { socket: server.socket, timeoutMillis: waitMillis });
    if (question === null) return { question, answer: null };
    const back = { address: question.address, port: question.port };
    await server.host.request('say', { socket: server.socket, text: reply, ...back });
    return { question, answer: await client.request('hear', { socket: own }) };
  } finally {
    if (socket === undefined) await client.request('shut', { socket: own });
  }
}

/** Connects, says a line each way and closes. @returns the client as the server sees it. @throws Error of the connection */
export async function askTcp(
  client: LabHost,
  to: { address: string; port: number; localPort?: number },
  server: { host: LabHost; socket: number },
): Promise<{ address: string; port: number; ownPort: number }> {
  const own = await client.request('tcp-open', to);
  const accepted = await server.host.request('tcp-accept', { socket: server.socket });
  if (accepted === null) throw new Error('connected, and nobody was accepted');
  await client.request('say', { socket: own.socket, text: 'question' });
  const question = await server.host.request('hear', { socket: accepted.socket });
  if (question?.text !== 'question') throw new Error(`the server heard ${JSON.stringify(question)}`);
  await server.host.request('say', { socket: accepted.socket, text: 'answer' });
  const answer = await client.request('hear', { socket: own.socket });
  if (answer?.text !== 'answer') throw new Error(`the client heard ${JSON.stringify(answer)}`);
  await client.request('shut', { socket: own.socket });
  await server.host.request('hear', { socket: accepted.socket });
  await server.host.request('shut', { socket: accepted.socket });
  return { address: accepted.address, port: accepted.port, ownPort: own.port };
}

/** An ICMP message as it stood in a frame. */
export interface SeenIcmp {
  source: string;
  destination: string;
  type: number;
  code: number;
  /** Low half of the second word: of 3/4 the MTU. */
  rest: number;
  /** Whether the checksum is right. */
  intact: boolean;
  /** Of an error: addresses of the packet it is about. */
  quotedSource: string;
  quotedDestination: string;
}

/** A raw socket on an interface, beside its stack: sends frames, and sees what comes. */
export class FramePort {
  private readonly bench: Bench;
  private readonly descriptor: number;

  constructor(namespace: LabNamespace, ifname = 'eth0') {
    this.bench = new Bench({ arenaBytes: 2 << 20, receiveBytes: 1 << 20, maxPorts: 1 });
    const options = {
      interface: ifname,
      netns: namespace.descriptor,
      vnetHeader: true,
      promiscuous: false,
      ignoreOutgoing: true,
    };
    this.descriptor = check(binding.openPacket(options), 'openPacket', ifname);
    this.bench.add(0, this.descriptor, Kind.packet, 12);
  }

  /** @param vnet what it says about checksum and segments; default: nothing */
  send(frame: Uint8Array, vnet: Uint8Array = PLAIN): void {
    this.bench.describe(0, joined(vnet, frame));
    const failed = this.bench.send();
    if (failed.length > 0) throw new Error(`a frame was not sent: error ${failed[0][1]}`);
  }

  /** Waits, 2 s at most, for the first IPv4 packet `pick` returns something about. Blocks this thread, not the hosts. */
  find<Found>(pick: (bytes: Uint8Array, ip: number) => Found | undefined): Found | undefined {
    const deadline = performance.now() + 2000;
    while (performance.now() < deadline) {
      for (const { bytes } of this.bench.receive(20_000)) {
        if (ethernet.etherType(bytes, 0) !== ethernet.EtherType.ipv4) continue;
        const found = pick(bytes, ethernet.HEADER_BYTES);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  findIcmp(type: number): SeenIcmp | undefined {
    return this.find((bytes, ip) => {
      if (ipv4.protocol(bytes, ip) !== ipv4.Protocol.icmp) return undefined;
      const at = ip + ipv4.headerBytes(bytes, ip);
      const seen = seenIcmp(bytes, ip, at);
      return seen.type === type ? seen : undefined;
    });
  }

  /** Takes what came so far. @returns the source addresses of its IPv4 packets */
  drainSources(): string[] {
    const sources: string[] = [];
    for (let burst = this.bench.receive(0); burst.length > 0; burst = this.bench.receive(0)) {
      for (const { bytes } of burst)
        if (ethernet.etherType(bytes, 0) === ethernet.EtherType.ipv4)
          sources.push(formatIpv4(ipv4.source(bytes, ethernet.HEADER_BYTES)));
    }
    return sources;
  }

  /** Forgets what came so far. */
  drain(): void {
    while (this.bench.receive(0).length > 0);
  }

  close(): void {
    this.bench.io.close();
    binding.closeDescriptor(this.descriptor);
  }
}

function seenIcmp(bytes: Uint8Array, ip: number, at: number): SeenIcmp {
  const quoted = at + icmp.HEADER_BYTES;
  const whole = bytes.length >= quoted + ipv4.HEADER_BYTES;
  return {
    source: formatIpv4(ipv4.source(bytes, ip)),
    destination: formatIpv4(ipv4.destination(bytes, ip)),
    type: icmp.type(bytes, at),
    code: icmp.code(bytes, at),
    rest: icmp.sequence(bytes, at),
    intact: icmp.verify(bytes, at, ipv4.totalLength(bytes, ip) - (at - ip)),
    quotedSource: whole ? formatIpv4(ipv4.source(bytes, quoted)) : '',
    quotedDestination: whole ? formatIpv4(ipv4.destination(bytes, quoted)) : '',
  };
}

/** What the stack of a host has counted (/proc/net/snmp), e.g. Tcp.OutRsts. */
export function stackCounters(host: LabHost): Record<string, number> {
  const lines = readFileSync(`/proc/${host.pid}/net/snmp`, 'latin1').trimEnd().split('\n');
  const counters: Record<string, number> = {};
  for (let line = 0; line < lines.length; line += 2) {
    const [group, ...names] = lines[line].split(' ');
    const [, ...values] = lines[line + 1].split(' ');
    for (const [index, name] of names.entries()) counters[`${group.slice(0, -1)}.${name}`] = Number(values[index]);
  }
  return counters;
}

/** Text of so many bytes that differ from their neighbours. */
export function longText(bytes: number, seed = 1): string {
  return Array.from({ length: bytes }, (_, index) => String.fromCharCode((index * 7 + (index >> 8) + seed * 31) & 0xff)).join('');
}

export { ADDRESS };
