// Leads a port of the host to a container while this program runs, and prints the connections that come:
//     node examples/publish.mjs tb0 8080:80 web [SOCKET]          Ctrl-C ends it
// Needs a running "tapbridge daemon", the right to use its socket, and the container's port attached with an address.
import { ClientError, connect } from 'tapbridge';

const [bridge, ports = '', portName, socket] = process.argv.slice(2);
const [hostPort, port] = ports.split(':').map(Number);
if (bridge === undefined || portName === undefined || !(hostPort > 0 && port > 0)) {
  console.error('usage: node examples/publish.mjs BRIDGE HOSTPORT:PORT CONTAINER [SOCKET]');
  process.exit(2);
}

const client = connect(socket);
let watch;
try {
  // Watched first, so that no connection is missed.
  watch = await client.watchFlows(bridge, { portName, protocol: 'tcp' });
  const { address } = await client.publish(bridge, { hostPort, port, portName });
  console.log(`port ${hostPort} leads to ${portName} at ${address}:${port}`);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => watch?.close());
  for await (const events of watch) {
    for (const { event, flow, reason, lost } of events) {
      // How the client knows the container, and how the container is asked: the two tuples of a flow.
      if (event === 'new' && flow?.original.destinationPort === hostPort) {
        const { original, reply } = flow;
        console.log(`${original.source}:${original.sourcePort} asks ${original.destination}, ${reply.source} answers`);
      } else if (event === 'destroy' && flow?.original.destinationPort === hostPort) {
        console.log(
          `${flow.original.source}:${flow.original.sourcePort} is over (${reason}), ${flow.bytes.reply} bytes sent to it`,
        );
      } else if (event === 'lost') {
        console.log(`${lost} events were lost`);
      }
    }
  }
  await client.unpublish(bridge, { hostPort });
  console.log(`port ${hostPort} no longer leads anywhere`);
} catch (error) {
  if (!(error instanceof ClientError)) throw error;
  console.error(`${error.message}${error.hint === undefined ? '' : `; ${error.hint}`}`);
  process.exitCode = 1;
} finally {
  watch?.close();
}
