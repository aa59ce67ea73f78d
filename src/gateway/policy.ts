/**
 * Policy: ordered lists of rules for a bridge and for each of its ports, asked once per flow.
 *
 *     new flow ─▶ rules of the port, in order ─▶ rules of the bridge, in order ─▶ allowed
 *                   first match: its action        first match: its action
 *
 * A rule looks at the far end ("remote": whoever is not the container) and at the port the flow is opened to, which is the container's for
 * what comes in and the remote's for what goes out. Answers belong to their flow and are never asked about. What a list shall forbid
 * altogether ends with a rule that denies everything.
 *
 * Bound: 1,024 rules for a bridge and as many for a port.
 */
export const RULE_LIMIT = 1024;

export const Action = { deny: 0, allow: 1 } as const;
/** As the container sees it: `out` is a flow it opens, `in` one that is opened to it. Bits, so that a rule may mean both. */
export const Direction = { in: 1, out: 2, both: 3 } as const;

export interface Rule {
  /** One of `Action`. */
  action: number;
  /** Bits of `Direction`. */
  direction: number;
  /** IP protocol number; 0: any. */
  protocol: number;
  /** Network of the far end, int32; prefix 0: any. */
  network: number;
  prefix: number;
  /** Destination ports of the flow's first packet, both included; 0 to 65535: any, a protocol without ports among them. */
  portLow: number;
  portHigh: number;
}

/** action | direction << 1 | protocol << 8, network, mask, portLow | portHigh << 16. */
const RULE_WORDS = 4;
const ANY_PORT = 0xffff0000 | 0;

const NO_RULES = new Int32Array(0);

export class Policy {
  private readonly bridges: Int32Array[];
  private readonly ports: Int32Array[];

  constructor(bridges: number, ports: number) {
    this.bridges = new Array<Int32Array>(bridges).fill(NO_RULES);
    this.ports = new Array<Int32Array>(ports).fill(NO_RULES);
  }

  /** Replaces the rules of a bridge. @throws RangeError for too many of them */
  setBridge(bridge: number, rules: readonly Rule[]): void {
    this.bridges[bridge] = pack(rules);
  }

  /** Replaces the rules of a port. @throws RangeError for too many of them */
  setPort(port: number, rules: readonly Rule[]): void {
    this.ports[port] = pack(rules);
  }

  /**
   * Whether a flow may be opened.
   * @param port port of the container
   * @param direction `Direction.in` or `Direction.out`
   * @param remote address of the far end
   * @param destinationPort of the first packet; 0 for a protocol without ports
   */
  permits(bridge: number, port: number, direction: number, protocol: number, remote: number, destinationPort: number): boolean {
    let action = port < 0 ? -1 : verdict(this.ports[port], direction, protocol, remote, destinationPort);
    if (action < 0) {
      action = verdict(this.bridges[bridge], direction, protocol, remote, destinationPort);
    }
    return action !== Action.deny;
  }
}

/** Action of the first rule that matches, or -1. */
function verdict(rules: Int32Array, direction: number, protocol: number, remote: number, port: number): number {
  for (let at = 0; at < rules.length; at += RULE_WORDS) {
    const head = rules[at];
    const wanted = head >>> 8;
    const range = rules[at + 3];
    if (
      ((head >>> 1) & direction) !== 0 &&
      (wanted === 0 || wanted === protocol) &&
      (remote & rules[at + 2]) === rules[at + 1] &&
      (range === ANY_PORT || (port >= (range & 0xffff) && port <= range >>> 16))
    ) {
      return head & 1;
    }
  }
  return -1;
}

function pack(rules: readonly Rule[]): Int32Array {
  if (rules.length > RULE_LIMIT) {
    throw new RangeError(`gateway: ${rules.length} rules are more than the ${RULE_LIMIT} there is room for`);
  }
  if (rules.length === 0) {
    return NO_RULES;
  }
  const words = new Int32Array(rules.length * RULE_WORDS);
  rules.forEach((rule, index) => {
    const at = index * RULE_WORDS;
    const mask = rule.prefix === 0 ? 0 : -1 << (32 - rule.prefix);
    words[at] = rule.action | (rule.direction << 1) | (rule.protocol << 8);
    words[at + 1] = rule.network & mask;
    words[at + 2] = mask;
    words[at + 3] = rule.portLow | (rule.portHigh << 16);
  });
  return words;
}
