/** A short exchange as tcpdump would print it: through the daemon's capture stream, so what is shown is what the bridge saw. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../client/client.js';
import { PcapngReader } from '../client/pcapng-reader.js';
import { describe } from '../wire/describe.js';

/** For what is still on its way when the exchange is over. */
const REST_MILLIS = 30;

/** Runs an exchange and returns a line per frame that passed a port of the bridge meanwhile, in both directions. */
export async function watchExchange(
  client: Client,
  bridge: string,
  port: string,
  exchange: () => Promise<void>,
): Promise<string[]> {
  const capture = await client.capture(bridge, { port });
  const frames = readFrames(capture);
  // When the exchange fails nobody waits for them, and closing the stream is an error to its reader.
  frames.catch(() => undefined);
  try {
    await exchange();
    await sleep(REST_MILLIS);
    await capture.end();
    return describeAll(await frames);
  } finally {
    capture.close();
  }
}

interface Frame {
  micros: number;
  bytes: Uint8Array;
}

async function readFrames(stream: AsyncIterable<Uint8Array>): Promise<Frame[]> {
  const reader = new PcapngReader();
  const frames: Frame[] = [];
  for await (const chunk of stream) {
    for (const event of reader.push(chunk)) if (event.kind === 'frame') frames.push(event);
  }
  return frames;
}

/** Times count from the first frame. */
function describeAll(frames: readonly Frame[]): string[] {
  return frames.map(({ micros, bytes }) => {
    const seconds = ((micros - frames[0].micros) / 1e6).toFixed(6);
    return `${seconds} ${withoutLinkLayer(describe(bytes, 0, bytes.length))}`;
  });
}

const LINK_LAYER = /^\S+ > \S+, ethertype (\w+) \(0x\w+\), length \d+: /;
const NETWORK_NAMES: Record<string, string> = { IPv4: 'IP', IPv6: 'IP6', ARP: 'ARP,' };

/** As tcpdump prints without -e, and without TCP's options: a line fits a terminal. */
function withoutLinkLayer(line: string): string {
  return line
    .replace(LINK_LAYER, (_, network: string) => `${NETWORK_NAMES[network] ?? network} `)
    .replace(/ options \[[^\]]*\],/, '');
}
