/**
 * Which ports sockets of the host have: what the gateway must not hand out, and who is in the way of a publish.
 *
 * Read from /proc/thread-self/net, which shows the namespace of the calling thread. The kernel lists listening TCP sockets before all others
 * (net/ipv4/tcp_ipv4.c, `tcp_seq_start`), so reading stops at the first that does not listen: a host with a million connections costs no more.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs';
import { readSysctl } from '../netlink/sysctl.js';

const DIRECTORY = '/proc/thread-self/net';
const LISTEN = '0A';
const CHUNK_BYTES = 64 * 1024;
/** Of one file; UDP sockets are all listed. 16 MiB are 130,000 sockets. */
const MAX_BYTES = 16 * 1024 * 1024;

export interface HostSocket {
  /** int32; 0: every address of the host. null: one of IPv6. */
  address: number | null;
  port: number;
  inode: string;
}

/** Listening TCP sockets or bound UDP ones, of both families. */
export function hostSockets(protocol: 'tcp' | 'udp'): HostSocket[] {
  return [protocol, `${protocol}6`].flatMap((file) => parseSockets(readTable(file, protocol === 'tcp'), protocol));
}

/** Ports the host has, each once, ascending. */
export function reservedPorts(protocol: 'tcp' | 'udp'): Uint16Array {
  const ports = new Set(hostSockets(protocol).map(({ port }) => port));
  ports.delete(0);
  return Uint16Array.from(ports).sort();
}

/** Rows of /proc/net/{tcp,udp}: "sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...". */
export function parseSockets(text: string, protocol: 'tcp' | 'udp'): HostSocket[] {
  const sockets: HostSocket[] = [];
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields.length < 10) continue;
    if (protocol === 'tcp' && fields[3] !== LISTEN) break;
    const [address, portText] = fields[1].split(':');
    const port = Number.parseInt(portText, 16);
    if (port > 0) sockets.push({ address: addressOf(address), port, inode: fields[9] });
  }
  return sockets;
}

/** Words of 32 bits as the processor reads them, little-endian wherever this runs: 127.0.0.1 is 0100007F. */
function addressOf(digits: string): number | null {
  if (/^0+$/.test(digits)) return 0;
  const isIpv4 = digits.length === 8 || digits.startsWith('0000000000000000FFFF0000');
  return isIpv4 ? Buffer.from(digits.slice(-8), 'hex').readInt32LE() : null;
}

/** 'nginx (process 123)', or 'another process' where it cannot be seen. For error messages: it looks at every process. */
export function whoHas(protocol: 'tcp' | 'udp', port: number): string {
  const targets = new Set(
    hostSockets(protocol)
      .filter((socket) => socket.port === port)
      .map(({ inode }) => `socket:[${inode}]`),
  );
  if (targets.size === 0) return 'another process';
  for (const pid of entries('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    for (const each of entries(`/proc/${pid}/fd`)) {
      if (!targets.has(link(`/proc/${pid}/fd/${each}`))) continue;
      return `${readText(`/proc/${pid}/comm`).trim()} (process ${pid})`;
    }
  }
  return 'another process';
}

/** The host's ephemeral ports, both ends included (net.ipv4.ip_local_port_range). */
export function ephemeralPorts(): [number, number] {
  const [first, last] = readSysctl('net/ipv4/ip_local_port_range').split(/\s+/).map(Number);
  return [first, last];
}

/** Where sockets with these inodes are open in processes of that program, run by root: process and descriptor by inode. */
export function descriptorsOf(program: string, inodes: ReadonlySet<string>): Map<string, { pid: number; descriptor: number }> {
  const found = new Map<string, { pid: number; descriptor: number }>();
  for (const pid of entries('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    if (readText(`/proc/${pid}/comm`).trim() !== program || ownerOf(`/proc/${pid}`) !== 0) continue;
    for (const each of entries(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${each}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) found.set(inode, { pid: Number(pid), descriptor: Number(each) });
    }
  }
  return found;
}

function readTable(name: string, listening: boolean): string {
  let file: number;
  try {
    file = openSync(`${DIRECTORY}/${name}`, 'r');
  } catch {
    // A kernel without IPv6.
    return '';
  }
  try {
    let text = '';
    const chunk = Buffer.alloc(CHUNK_BYTES);
    while (text.length < MAX_BYTES) {
      const length = readSync(file, chunk, 0, CHUNK_BYTES, null);
      if (length === 0) break;
      text += chunk.toString('latin1', 0, length);
      if (listening && pastListeners(text)) break;
    }
    return text;
  } finally {
    closeSync(file);
  }
}

/** Whether the last whole row is of a socket that does not listen. */
function pastListeners(text: string): boolean {
  const end = text.lastIndexOf('\n');
  const row = text.slice(text.lastIndexOf('\n', end - 1) + 1, end);
  const state = row.trim().split(/\s+/)[3];
  return state !== undefined && state !== LISTEN && state !== 'st';
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function ownerOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.uid ?? -1;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
