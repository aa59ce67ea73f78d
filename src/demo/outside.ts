/** The gateway's part of the demo: a container reaches a host outside, and a host outside a published port. */
import type { FlowEnds, FlowInfo } from '../control/model.js';
import type { Shown } from './report.js';
import { BRIDGE, HOST_OUTSIDE, OUTSIDE, type Stage, WEB } from './stage.js';
import { expect, type Step } from './step.js';

const OUTSIDE_PORT = 5000;
const PUBLISHED = 8080;
const INNER = 80;

export const OUTSIDE_STEPS: readonly Step[] = [
  { title: 'container → outside, translated', run: reachOutside },
  { title: 'outside → published port', run: reachPublished },
];

async function reachOutside({ client, web, outside }: Stage): Promise<Shown> {
  const { received, rttMicros } = await web.ping({ address: OUTSIDE, count: 3 });
  expect(received === 3, `${received} of 3 pings answered by ${OUTSIDE}`);
  const listener = await outside.request('tcp-listen', { port: OUTSIDE_PORT });
  const opened = await web.request('tcp-open', { address: OUTSIDE, port: OUTSIDE_PORT });
  const seen = await outside.request('tcp-accept', { socket: listener.socket });
  expect(seen?.address === HOST_OUTSIDE, `${OUTSIDE} saw ${seen?.address ?? 'nobody'}, not ${HOST_OUTSIDE}`);
  const flow = await findFlow(client, { protocol: 'tcp', port: OUTSIDE_PORT });
  await web.request('shut', { socket: opened.socket });
  await outside.request('shut', { socket: seen.socket });
  await outside.request('shut', { socket: listener.socket });
  return {
    figure: `seen as ${HOST_OUTSIDE}`,
    evidence: [
      `ping web → ${OUTSIDE} ${Math.round(rttMicros[2])} µs; a connection, which ${OUTSIDE} saw from ${seen.address}:${seen.port}`,
      ...describeFlow(flow),
    ],
  };
}

async function reachPublished({ client, web, outside }: Stage): Promise<Shown> {
  await client.publish(BRIDGE, { protocol: 'tcp', hostPort: PUBLISHED, port: INNER, portName: 'web' });
  const listener = await web.request('tcp-listen', { port: INNER });
  const opened = await outside.request('tcp-open', { address: HOST_OUTSIDE, port: PUBLISHED });
  const seen = await web.request('tcp-accept', { socket: listener.socket });
  expect(seen?.address === OUTSIDE, `web saw ${seen?.address ?? 'nobody'}, not ${OUTSIDE}`);
  await outside.request('say', { socket: opened.socket, text: 'hello' });
  const heard = await web.request('hear', { socket: seen.socket });
  expect(heard?.text === 'hello', `web heard ${JSON.stringify(heard)}`);
  const flow = await findFlow(client, { protocol: 'tcp', port: PUBLISHED });
  await outside.request('shut', { socket: opened.socket });
  await web.request('shut', { socket: seen.socket });
  await web.request('shut', { socket: listener.socket });
  await client.unpublish(BRIDGE, { protocol: 'tcp', hostPort: PUBLISHED });
  return {
    figure: `client ${seen.address}`,
    evidence: [
      `${HOST_OUTSIDE}:${PUBLISHED} leads to ${WEB}:${INNER}; web saw its real client, ${seen.address}:${seen.port}`,
      ...describeFlow(flow),
    ],
  };
}

async function findFlow(client: Stage['client'], query: { protocol: string; port: number }): Promise<FlowInfo> {
  for await (const [flow] of client.listFlows(BRIDGE, query)) if (flow !== undefined) return flow;
  throw new Error(`there is no flow of ${query.protocol} port ${query.port}`);
}

/** Both tuples. */
function describeFlow({ protocol, state, original, reply }: FlowInfo): string[] {
  return [`flow ${protocol} ${state}:`, `    original ${describeEnds(original)}`, `    reply    ${describeEnds(reply)}`];
}

function describeEnds({ source, sourcePort, destination, destinationPort }: FlowEnds): string {
  return `${source}:${sourcePort} → ${destination}:${destinationPort}`;
}
