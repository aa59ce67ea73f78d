// Asks a daemon what it has: node examples/client.mjs [SOCKET]
// Needs a running "tapbridge daemon" and the right to use its socket.
import { ClientError, connect } from 'tapbridge';

const client = connect(process.argv[2]);
try {
  const { version, pid } = await client.version();
  console.log(`tapbridge ${version}, process ${pid}`);
  for (const { name, subnet } of await client.listBridges()) {
    console.log(`${name} ${subnet ?? 'without a subnet'}`);
    for (const { name: port, kind, ip, mac, rxFrames, txFrames } of await client.listPorts(name)) {
      console.log(`  ${port} (${kind}) ${ip ?? '-'} ${mac ?? '-'}: ${rxFrames} frames in, ${txFrames} out`);
    }
    const { drops } = await client.counters(name);
    const reasons = Object.entries(drops).filter(([, frames]) => frames > 0);
    console.log(`  drops: ${reasons.map(([reason, frames]) => `${frames} ${reason}`).join(', ') || 'none'}`);
  }
} catch (error) {
  if (!(error instanceof ClientError)) throw error;
  console.error(`${error.message}${error.hint === undefined ? '' : `; ${error.hint}`}`);
  process.exitCode = 1;
}
