/** The part of pcap-parser 0.2.1 used here; the package brings no types. */
declare module 'pcap-parser' {
  import type { EventEmitter } from 'node:events';

  export interface GlobalHeader {
    majorVersion: number;
    minorVersion: number;
    snapshotLength: number;
    linkLayerType: number;
  }

  export interface PacketHeader {
    timestampSeconds: number;
    timestampMicroseconds: number;
    capturedLength: number;
    originalLength: number;
  }

  export interface Packet {
    header: PacketHeader;
    data: Buffer;
  }

  /** Emits 'globalHeader', 'packet', 'error' and 'end' while its input emits 'data'. */
  export interface Parser extends EventEmitter {
    on(event: 'globalHeader', listener: (header: GlobalHeader) => void): this;
    on(event: 'packet', listener: (packet: Packet) => void): this;
    on(event: 'error', listener: (error: Error) => void): this;
    on(event: 'end', listener: () => void): this;
  }

  /** What the parser calls on its input. */
  export interface Input extends EventEmitter {
    pause(): unknown;
    resume(): unknown;
  }

  const pcapParser: { parse(input: Input): Parser };
  export default pcapParser;
}
