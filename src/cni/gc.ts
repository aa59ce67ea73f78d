/** GC: ends all attachments of this network that the runtime does not know. */
import type { PortInfo } from '../control/model.js';
import type { Call } from './call.js';
import { CniError, Code } from './cni-error.js';
import { ask, find } from './daemon-error.js';
import { releaseAddresses } from './del.js';
import { ipamOf } from './delegate.js';
import { ifnameOf, portNameOf } from './names.js';
import { readAttachments } from './settings.js';

/** Goes on after errors. @throws CniError with all of them */
export async function gc(call: Call): Promise<void> {
  const { client, network, environment } = call;
  const valid = readAttachments(network.fields);
  // Without a list nothing is known to be gone.
  if (valid === undefined) return;
  const keep = new Set(valid.map(({ containerId, ifname }) => portNameOf(network.name, containerId, ifname)));
  const ports = (await find(`list the ports of ${network.bridge}`, client.listPorts(network.bridge))) ?? [];
  const failed: string[] = [];
  const attempt = async (work: () => Promise<unknown>) => {
    await work().catch((error: Error) => failed.push(error.message));
  };
  for (const port of ports) {
    const attachment = attachmentOf(port, network.name);
    if (attachment === undefined || keep.has(port.name)) continue;
    await attempt(() => ask(`detach ${port.name}`, client.detach(network.bridge, port.name)));
    await releaseAddresses(call, attachment);
  }
  await attempt(async () => ipamOf(network, environment)?.run('GC'));
  if (failed.length > 0) throw new CniError(Code.internal, `GC of ${network.name} is not complete`, failed.join('; '));
}

/** Whose port it is: the name is computed from network, container and interface, so it says whether all three fit. */
function attachmentOf(port: PortInfo, network: string): { containerId: string; ifname: string } | undefined {
  const { container } = port;
  if (container?.engine !== 'cni') return undefined;
  const ifname = ifnameOf(port.name, network, container.id, port.interface);
  return ifname === undefined ? undefined : { containerId: container.id, ifname };
}
