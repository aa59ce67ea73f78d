/** Everything there is to choose from; the first driver is the reference of all ratios. */
import type { BenchType, Driver } from './driver.js';
import { dockerBridge } from './drivers/docker-bridge.js';
import { kernelBridge } from './drivers/kernel-bridge.js';
import { tapbridge } from './drivers/tapbridge.js';
import { veth } from './drivers/veth.js';
import { pingIdle, pingRtt } from './types/ping.js';
import { tcpBulk } from './types/tcp-bulk.js';
import { udpRr } from './types/udp-rr.js';
import { udpSmall } from './types/udp-small.js';

export const DRIVERS: readonly Driver[] = [dockerBridge, kernelBridge, tapbridge, veth];
export const TYPES: readonly BenchType[] = [udpSmall, tcpBulk, pingRtt, udpRr, pingIdle];

/** What runs without --drivers and --types. */
export const DEFAULT_DRIVERS = [dockerBridge.name, kernelBridge.name, tapbridge.name];
export const DEFAULT_TYPES = [udpSmall.name, tcpBulk.name, pingRtt.name];
