/**
 * Numbers of the kernel's rtnetlink interface, grouped by the header that defines them. Only those in use are listed. They are part of the
 * kernel's stable interface to userspace and the same on every architecture.
 */

/** include/uapi/linux/netlink.h: types and flags of `struct nlmsghdr`. */
export const Nlmsg = { noop: 1, error: 2, done: 3, overrun: 4 } as const;
export const NlmFlag = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  /** The kernel's tables changed while they were dumped: entries may be missing or doubled. */
  dumpInterrupted: 0x10,
  /** On NEW requests. */
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  /** On GET requests: NLM_F_ROOT | NLM_F_MATCH. */
  dump: 0x300,
  /** On NLMSG_ERROR: the payload of the failed request is not repeated. */
  capped: 0x100,
  /** On NLMSG_ERROR: attributes of the extended ack follow. */
  ackAttributes: 0x200,
} as const;
export const NlmsgErrorAttribute = { message: 1, offset: 2 } as const;
/** The two high bits of an attribute's type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER). */
export const NLA_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;

/** include/uapi/linux/rtnetlink.h: message types. */
export const Rtm = {
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
  newRoute: 24,
  deleteRoute: 25,
  getRoute: 26,
  newNeighbor: 28,
  deleteNeighbor: 29,
  getNeighbor: 30,
  newQdisc: 36,
  deleteQdisc: 37,
  getQdisc: 38,
  newFilter: 44,
  deleteFilter: 45,
  getFilter: 46,
} as const;

/** include/uapi/linux/rtnetlink.h: RTMGRP_* bits for `Binding.openNetlink`. */
export const Group = {
  link: 0x1,
  neighbor: 0x4,
  ipv4Address: 0x10,
  ipv4Route: 0x40,
  ipv6Address: 0x100,
  ipv6Route: 0x400,
} as const;

/** include/linux/socket.h: address families. */
export const Family = { unspecified: 0, ipv4: 2, bridge: 7, ipv6: 10 } as const;

/** include/uapi/linux/if.h: flags of an interface. */
export const LinkFlag = {
  up: 0x1,
  broadcast: 0x2,
  loopback: 0x8,
  running: 0x40,
  noArp: 0x80,
  promiscuous: 0x100,
  lowerUp: 0x10000,
} as const;

/** include/uapi/linux/if_link.h: attributes of a link, of its IFLA_LINKINFO, and of a veth. */
export const Ifla = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  txQueueLength: 13,
  operState: 16,
  info: 18,
  alias: 20,
  stats64: 23,
  netnsFd: 28,
  extMask: 29,
} as const;
export const IflaInfo = { kind: 1, data: 2 } as const;
/** include/uapi/linux/veth.h */
export const VETH_PEER = 1;

/** include/uapi/linux/if_addr.h */
export const Ifa = { address: 1, local: 2, label: 3, broadcast: 4, flags: 8 } as const;
export const IfaFlag = { noDad: 0x02, permanent: 0x80 } as const;

/** include/uapi/linux/rtnetlink.h: attributes and fields of a route. */
export const Rta = {
  destination: 1,
  outInterface: 4,
  gateway: 5,
  priority: 6,
  preferredSource: 7,
  multipath: 9,
  table: 15,
} as const;
export const RouteTable = { unspecified: 0, main: 254, local: 255 } as const;
export const RouteProtocol = { unspecified: 0, boot: 3, static: 4 } as const;
export const Scope = { universe: 0, link: 253, host: 254, nowhere: 255 } as const;
export const RouteType = {
  unspecified: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
} as const;
/** RTM_F_CLONED: an entry of the route cache, not of a table. */
export const ROUTE_CLONED = 0x200;

/** include/uapi/linux/neighbour.h */
export const Nda = { destination: 1, linkAddress: 2 } as const;
export const NeighborState = {
  none: 0x00,
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noArp: 0x40,
  permanent: 0x80,
} as const;
/** NTF_*. `use`: as if something were sent there. */
export const NeighborFlag = { use: 0x01 } as const;

/** include/uapi/linux/rtnetlink.h: attributes of `struct tcmsg`. */
export const Tca = { kind: 1, options: 2 } as const;
/** include/uapi/linux/pkt_sched.h: where an ingress or clsact queue hangs, its handle, and its hook for what comes in (TC_H_MIN_INGRESS). */
export const TC_CLSACT = 0xfffffff1;
export const TC_CLSACT_HANDLE = 0xffff0000;
export const TC_INGRESS = 0xfffffff2;
export const TC_EGRESS = 0xfffffff3;
/** include/uapi/linux/pkt_cls.h: options of a classifier of kind "bpf". */
export const TcaBpf = { opsLength: 4, ops: 5, descriptor: 6, name: 7, flags: 8 } as const;
/** TCA_BPF_FLAG_ACT_DIRECT: what the program returns is the verdict. */
export const BPF_DIRECT_ACTION = 1;
