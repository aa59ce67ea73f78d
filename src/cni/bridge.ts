/** The bridge of a network: found, or made by the first ADD. */
import type { BridgeInfo } from '../control/model.js';
import type { AddressPlan } from './addresses.js';
import type { Call } from './call.js';
import { CniError, Code } from './cni-error.js';
import { ask, find } from './daemon-error.js';
import type { Settings } from './settings.js';

export function findBridge({ client, network }: Call): Promise<BridgeInfo | undefined> {
  return find(`look for bridge ${network.bridge}`, client.getBridge(network.bridge));
}

/**
 * @param there what was found
 * @throws CniError when a bridge of that name is another's, or its subnet or gateway is another
 */
export async function ensureBridge(
  call: Call,
  settings: Settings,
  plan: AddressPlan,
  there: BridgeInfo | undefined,
): Promise<BridgeInfo> {
  const { client, network } = call;
  const name = network.bridge;
  if (there !== undefined) return checked(there, network, plan);
  const { subnet } = plan;
  if (subnet === undefined && plan.own !== null) {
    const what = `bridge ${name} does not exist, and ipam has no subnet to make it with`;
    throw new CniError(Code.invalidConfig, what, 'add "subnet" to ipam');
  }
  try {
    return await ask(
      `make bridge ${name}`,
      client.createBridge({
        name,
        subnet,
        gateway: subnet === undefined ? undefined : plan.gateway,
        mtu: settings.mtu,
        internal: settings.internal ? true : undefined,
        uplink: settings.ipMasq ? settings.uplink : 'none',
        network: { engine: 'cni', id: network.name, name: network.name },
      }),
    );
  } catch (error) {
    // A parallel call was faster.
    const made = await findBridge(call);
    if (made === undefined) throw error;
    return checked(made, network, plan);
  }
}

function checked(bridge: BridgeInfo, network: Call['network'], plan: AddressPlan): BridgeInfo {
  const owner = bridge.network;
  if (!network.bridgeNamed && !(owner?.engine === 'cni' && owner.id === network.name)) {
    const whose = owner === null ? 'made by hand' : `of ${owner.engine} network ${owner.name ?? owner.id}`;
    const what = `there is a bridge ${bridge.name}, ${whose}`;
    throw new CniError(Code.invalidConfig, what, 'name the one to use with "bridge", that one or another');
  }
  if (plan.subnet !== undefined && plan.gateway !== undefined && bridge.gateway !== null && bridge.gateway !== plan.gateway) {
    const what = `bridge ${bridge.name} has the gateway ${bridge.gateway}, the IPAM says ${plan.gateway}`;
    throw new CniError(Code.invalidConfig, what, `make them one, or remove the bridge: tapbridge rm ${bridge.name}`);
  }
  const subnet = plan.own?.subnet;
  if (subnet !== undefined && subnet !== bridge.subnet) {
    const has = bridge.subnet === null ? 'no subnet' : `the subnet ${bridge.subnet}`;
    const what = `bridge ${bridge.name} has ${has}, ipam says ${subnet}`;
    throw new CniError(Code.invalidConfig, what, `make them one, or remove the bridge: tapbridge rm ${bridge.name}`);
  }
  return bridge;
}
