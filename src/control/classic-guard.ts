/**
 * The guard as classic BPF, for hosts whose kernel refuses bpf(2) to the daemon: the text of native/guard.cc, with port ranges written into the program
 * instead of a map. What belongs to the gateway is then known by range, not by flow: the whole pool of ports it hands out, and what is published. The
 * program is made again when publishes or addresses change. Ports of a range that the host itself listens on are to be left out by the caller.
 *
 *     frame ─▶ destination known? ─▶ M[PORT]: port or identifier, from the packet or from the packet an ICMP error quotes ─▶ in a range? ─▶ verdict
 *
 * Limits: 4,096 instructions, about 1,000 ranges; neighbors are joined before. Protocols other than TCP, UDP and ICMP stay with the host: a range of
 * ports cannot name their flows. A frame that ends inside of a header gives 0: dropped by the socket, for the host at the ingress.
 */
import { EtherType } from '../wire/ethernet.js';
import { Protocol } from '../wire/ipv4.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import { ControlError } from './control-error.js';

export interface ClassicRange {
  /** 6 TCP, 17 UDP: ports; 1 ICMP: identifiers of queries. */
  protocol: number;
  /** One of the guard's, 0: each of them. */
  address: number;
  first: number;
  last: number;
}

export interface ClassicRules {
  /** Of the uplinks. */
  addresses: readonly number[];
  ranges: readonly ClassicRange[];
}

/** Where a program runs: what it answers for frames of the gateway, of the host, of both. */
export const ClassicPlace = {
  /** Bytes to keep. */
  socket: { ours: 0xffffffff, notOurs: 0, both: 0xffffffff },
  /** TC_ACT_SHOT, TC_ACT_UNSPEC (include/uapi/linux/pkt_cls.h). */
  ingress: { ours: 2, notOurs: 0xffffffff, both: 0xffffffff },
} as const;

/** Codes of struct sock_filter (include/uapi/linux/filter.h, bpf_common.h). X is an index register, M[] sixteen words of memory. */
const Code = {
  word: 0x20,
  half: 0x28,
  byte: 0x30,
  wordAtX: 0x40,
  halfAtX: 0x48,
  byteAtX: 0x50,
  memory: 0x60,
  memoryToX: 0x61,
  headerBytesToX: 0xb1,
  store: 0x02,
  storeX: 0x03,
  constant: 0x00,
  toX: 0x07,
  fromX: 0x87,
  add: 0x04,
  addX: 0x0c,
  and: 0x54,
  shiftLeft: 0x64,
  jump: 0x05,
  equal: 0x15,
  equalX: 0x1d,
  greater: 0x25,
  atLeast: 0x35,
  anyBit: 0x45,
  answer: 0x06,
} as const;
const INSTRUCTION_BYTES = 8;
const MAX_INSTRUCTIONS = 4096;

/** SKF_AD_OFF + SKF_AD_PKTTYPE, + SKF_AD_VLAN_TAG_PRESENT: what the kernel knows beside the frame. */
const PACKET_TYPE = 0xfffff000 + 4;
const VLAN_PRESENT = 0xfffff000 + 48;
/** include/uapi/linux/if_packet.h */
const PACKET_MULTICAST = 2;

const IP = 14;
const Field = { fragment: 6, protocol: 9, source: 12, destination: 16 } as const;
const OFFSET_BITS = 0x1fff;
const ICMP_HEADER = 8;
const ICMP_ID = 4;
const ERRORS = [3, 4, 5, 11, 12];
const ANSWERS = [0, 14, 16, 18];
const REQUESTS = [8, 13, 15, 17];

/** Words of M[]. */
const ADDRESS = 0;
const PROTOCOL = 1;
const PORT = 2;
const QUOTE = 3;
const QUOTED_TRANSPORT = 4;

/**
 * The program, as `struct sock_filter`, 8 bytes each.
 * @throws ControlError when the ranges need more instructions than the kernel takes
 */
export function classicGuard(rules: ClassicRules, place: (typeof ClassicPlace)[keyof typeof ClassicPlace]): Uint8Array {
  const text = new ClassicText();
  const [arp, both, notOurs, known, icmp, query, quote, quotedIcmp, port, quotedPort, test] = text.labels(11);

  text.do(Code.word, VLAN_PRESENT).unless(Code.equal, 0, notOurs);
  text.do(Code.half, 12).when(Code.equal, EtherType.arp, arp).unless(Code.equal, EtherType.ipv4, notOurs);
  text.do(Code.word, PACKET_TYPE).unless(Code.equal, 0, notOurs);
  text.do(Code.byte, IP).unless(Code.atLeast, 0x45, notOurs).when(Code.greater, 0x4f, notOurs);
  text.do(Code.word, IP + Field.destination).do(Code.store, ADDRESS);
  for (const address of rules.addresses) text.when(Code.equal, address >>> 0, known);
  text.goto(notOurs);

  text.put(known);
  text.do(Code.half, IP + Field.fragment).when(Code.anyBit, OFFSET_BITS, both);
  text
    .do(Code.headerBytesToX, IP)
    .do(Code.byte, IP + Field.protocol)
    .do(Code.store, PROTOCOL);
  byProtocol(text, port, icmp, notOurs);

  text
    .put(port)
    .do(Code.halfAtX, IP + 2)
    .do(Code.store, PORT)
    .goto(test);

  text.put(icmp).do(Code.byteAtX, IP);
  for (const type of ERRORS) text.when(Code.equal, type, quote);
  for (const type of ANSWERS) text.when(Code.equal, type, query);
  text.goto(notOurs);
  text
    .put(query)
    .do(Code.halfAtX, IP + ICMP_ID)
    .do(Code.store, PORT)
    .goto(test);

  // The packet an error quotes left from here: its source is the error's destination.
  text
    .put(quote)
    .do(Code.fromX, 0)
    .do(Code.add, IP + ICMP_HEADER)
    .do(Code.toX, 0)
    .do(Code.storeX, QUOTE);
  text.do(Code.byteAtX, 0).unless(Code.atLeast, 0x45, notOurs).when(Code.greater, 0x4f, notOurs);
  text.do(Code.and, 0xf).do(Code.shiftLeft, 2).do(Code.addX, 0).do(Code.store, QUOTED_TRANSPORT);
  text.do(Code.halfAtX, Field.fragment).when(Code.anyBit, OFFSET_BITS, notOurs);
  text.do(Code.byteAtX, Field.protocol).do(Code.store, PROTOCOL);
  text.do(Code.wordAtX, Field.source).do(Code.memoryToX, ADDRESS).unless(Code.equalX, 0, notOurs);
  text.do(Code.memoryToX, QUOTED_TRANSPORT).do(Code.memory, PROTOCOL);
  byProtocol(text, quotedPort, quotedIcmp, notOurs);
  text.put(quotedIcmp).do(Code.byteAtX, 0);
  const quotedQuery = text.label();
  for (const type of REQUESTS) text.when(Code.equal, type, quotedQuery);
  text.goto(notOurs);
  text.put(quotedQuery).do(Code.halfAtX, ICMP_ID).do(Code.store, PORT).goto(test);
  text.put(quotedPort).do(Code.halfAtX, 0).do(Code.store, PORT);

  text.put(test);
  for (const protocol of [Protocol.tcp, Protocol.udp, Protocol.icmp]) {
    const next = text.label();
    text.do(Code.memory, PROTOCOL).unless(Code.equal, protocol, next);
    const own = rules.ranges.filter((range) => range.protocol === protocol);
    // The host's own pings have identifiers of that range too. Its stack passes over answers nobody asked for, so both may have them.
    const verdict = protocol === Protocol.icmp ? place.both : place.ours;
    text.do(Code.memory, PORT).answerInside(joined(own, 0), verdict);
    for (const address of new Set(own.map((range) => range.address).filter((each) => each !== 0))) {
      const other = text.label();
      text.do(Code.memory, ADDRESS).unless(Code.equal, address >>> 0, other);
      text.do(Code.memory, PORT).answerInside(joined(own, address), verdict).goto(notOurs);
      text.put(other);
    }
    text.goto(notOurs).put(next);
  }
  text.goto(notOurs);

  text.put(arp).do(Code.word, PACKET_TYPE).when(Code.greater, PACKET_MULTICAST, notOurs);
  text.put(both).do(Code.answer, place.both);
  text.put(notOurs).do(Code.answer, place.notOurs);
  return text.finish();
}

/** From the protocol in A, with X at the transport header (less `IP` in the packet itself). */
function byProtocol(text: ClassicText, ports: number, icmp: number, notOurs: number): void {
  text
    .when(Code.equal, Protocol.tcp, ports)
    .when(Code.equal, Protocol.udp, ports)
    .when(Code.equal, Protocol.icmp, icmp)
    .goto(notOurs);
}

/** Ranges of one address in order, overlapping and adjacent ones joined. @throws ControlError for one that is none */
function joined(ranges: readonly ClassicRange[], address: number): [number, number][] {
  const sorted = ranges.filter((range) => range.address === address).sort((a, b) => a.first - b.first);
  const result: [number, number][] = [];
  for (const { first, last } of sorted) {
    if (!(first >= 0 && first <= last && last <= 0xffff)) {
      throw new ControlError(
        'invalid',
        `${first} to ${last} is no range of ports${address === 0 ? '' : ` at ${formatIpv4(address)}`}`,
      );
    }
    const before = result.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else result.push([first, last]);
  }
  return result;
}

/** Instructions with jumps to labels. A conditional jump reaches 255 instructions only, so each steps over a plain one. */
class ClassicText {
  private readonly code: { code: number; yes: number; no: number; value: number; to: number }[] = [];
  private readonly places: number[] = [];

  label(): number {
    return this.places.push(-1) - 1;
  }

  labels(count: number): number[] {
    return Array.from({ length: count }, () => this.label());
  }

  /** Labels stand behind all jumps to them. */
  put(label: number): this {
    this.places[label] = this.code.length;
    return this;
  }

  do(code: number, value: number): this {
    this.code.push({ code, yes: 0, no: 0, value, to: -1 });
    return this;
  }

  goto(label: number): this {
    this.code.push({ code: Code.jump, yes: 0, no: 0, value: 0, to: label });
    return this;
  }

  when(code: number, value: number, label: number): this {
    this.code.push({ code, yes: 0, no: 1, value, to: -1 });
    return this.goto(label);
  }

  unless(code: number, value: number, label: number): this {
    this.code.push({ code, yes: 1, no: 0, value, to: -1 });
    return this.goto(label);
  }

  /** Ends with `verdict` when A lies in one of the ranges, else goes on. */
  answerInside(ranges: readonly [number, number][], verdict: number): this {
    for (const [first, last] of ranges) {
      this.code.push({ code: Code.atLeast, yes: 0, no: 2, value: first, to: -1 });
      this.code.push({ code: Code.greater, yes: 1, no: 0, value: last, to: -1 });
      this.do(Code.answer, verdict);
    }
    return this;
  }

  finish(): Uint8Array {
    if (this.code.length > MAX_INSTRUCTIONS) {
      throw new ControlError(
        'failed',
        `the published ports need ${this.code.length} instructions in the classic guard, the kernel takes ${MAX_INSTRUCTIONS}`,
        'publish ranges instead of scattered ports, or let the daemon use eBPF (guard: ebpf)',
      );
    }
    const bytes = new Uint8Array(this.code.length * INSTRUCTION_BYTES);
    const codes = new Uint16Array(bytes.buffer);
    const values = new Uint32Array(bytes.buffer);
    this.code.forEach(({ code, yes, no, value, to }, at) => {
      codes[at * 4] = code;
      bytes[at * INSTRUCTION_BYTES + 2] = yes;
      bytes[at * INSTRUCTION_BYTES + 3] = no;
      values[at * 2 + 1] = to < 0 ? value : this.places[to] - at - 1;
    });
    return bytes;
  }
}
