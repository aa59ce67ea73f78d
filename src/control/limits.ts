/** What users may ask for, checked before anything is made. */

import { interfaceNameProblem } from '../netlink/interface-name.js';
import { LONGEST_DELAY_MICROS } from '../port/fault-settings.js';
import { isGroup, isZero, type MacAddress, parseMac } from '../wire/mac-address.js';
import { ControlError, orRefuse } from './control-error.js';

/** RFC 791 asks for 68 of every link; 65,521 is what a TAP takes (65,535 less its Ethernet header, drivers/net/tun.c). */
export const MTU = { min: 68, max: 65_521, default: 1500 } as const;
/** 802.1D, table 7-5 ends at 1,000,000 s; shorter than its 10 s is allowed for experiments, 0 means "never learn". */
export const AGEING_SECONDS = { min: 0, max: 1_000_000 } as const;
export const FDB_LIMIT = { min: 1, max: 1_048_576 } as const;
/** Bits 0-2 (bridge group, PAUSE, slow protocols) stay closed, as in the kernel. */
export const GROUP_FORWARD_MASK = { min: 0, max: 0xfff8 } as const;
/** MACs one port may teach; 0: as many as the table holds. */
export const MAC_LIMIT = { min: 0, max: FDB_LIMIT.max } as const;
/** 100 Gbit/s is more than anything here does. */
export const RATE_BITS = { min: 8_000, max: 100_000_000_000 } as const;
/** A super-frame has to fit. */
export const RATE_BURST = { min: 65_604, max: 1_073_741_824 } as const;
export const FAULT_MICROS = { min: 0, max: LONGEST_DELAY_MICROS } as const;
export const FAULT_SEED = { min: -0x8000_0000, max: 0xffff_ffff } as const;
export const VLAN = { min: 0, max: 4094 } as const;
export const SNAP_LENGTH = { min: 1, max: 262_144 } as const;
const PORT_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const BRIDGE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

export function checkRange(what: string, value: number, range: { min: number; max: number }): void {
  if (!Number.isInteger(value) || value < range.min || value > range.max) {
    throw new ControlError('invalid', `${what} must be a whole number from ${range.min} to ${range.max}, not ${value}`);
  }
}

/** A bridge's name is also the name of its host port's interface. */
export function checkBridgeName(name: string): void {
  const problem = interfaceNameProblem(name) ?? (BRIDGE_NAME.test(name) ? undefined : 'use letters, digits, "_", "." and "-"');
  if (problem !== undefined) throw new ControlError('invalid', `${JSON.stringify(name)} cannot name a bridge: ${problem}`);
}

export function checkPortName(name: string): void {
  if (!PORT_NAME.test(name)) {
    const rule = 'use up to 63 letters, digits, "_", "." and "-", beginning with a letter or digit';
    throw new ControlError('invalid', `${JSON.stringify(name)} cannot name a port`, rule);
  }
}

export function checkInterface(name: string): void {
  const problem = interfaceNameProblem(name);
  if (problem !== undefined) throw new ControlError('invalid', `${JSON.stringify(name)} cannot be an interface name: ${problem}`);
}

/** The address of one station. @throws ControlError for a group address or zeros */
export function stationMac(text: string): MacAddress {
  const mac = orRefuse('invalid', () => parseMac(text));
  if (isGroup(mac.high))
    throw new ControlError('invalid', `${text} is a group address: its first octet is odd`, 'use one like 02:00:00:00:00:01');
  if (isZero(mac.high, mac.low))
    throw new ControlError('invalid', `${text} is no station's address`, 'use one like 02:00:00:00:00:01');
  return mac;
}
