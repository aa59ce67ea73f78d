/** The calls of a Docker plugin by name, and who answers each. What is not here is answered with 404, which dockerd takes for "not supported". */
import type { Undo } from '../control/undo.js';
import type { IpamDriver } from './ipam-driver.js';
import type { NetworkDriver } from './network-driver.js';
import type { PluginMethod } from './plugin-server.js';

export function pluginMethods(network: NetworkDriver, ipam: IpamDriver): Map<string, PluginMethod> {
  const activate = () => {
    ipam.beginReplay();
    return { Implements: ['NetworkDriver', 'IpamDriver'] };
  };
  const call = (handler: (body: unknown, undo: Undo) => Promise<object> | object): PluginMethod => ({ handler });
  const bare = (handler: () => object): PluginMethod => ({ handler, empty: true });
  return new Map([
    ['Plugin.Activate', bare(activate)],
    ['NetworkDriver.GetCapabilities', bare(() => network.capabilities())],
    ['NetworkDriver.GwAllocCheck', call((body) => network.gatewayCheck(body))],
    ['NetworkDriver.AllocateNetwork', call(() => ({ Options: {} }))],
    ['NetworkDriver.FreeNetwork', call(() => ({}))],
    ['NetworkDriver.CreateNetwork', call((body, undo) => network.createNetwork(body, undo))],
    ['NetworkDriver.DeleteNetwork', call((body) => network.deleteNetwork(body))],
    ['NetworkDriver.CreateEndpoint', call((body, undo) => network.createEndpoint(body, undo))],
    ['NetworkDriver.DeleteEndpoint', call((body) => network.deleteEndpoint(body))],
    ['NetworkDriver.EndpointOperInfo', call((body) => network.operInfo(body))],
    ['NetworkDriver.Join', call((body) => network.join(body))],
    ['NetworkDriver.Leave', call((body) => network.leave(body))],
    ['NetworkDriver.ProgramExternalConnectivity', call((body, undo) => network.program(body, undo))],
    ['NetworkDriver.RevokeExternalConnectivity', call((body) => network.revoke(body))],
    ['NetworkDriver.DiscoverNew', call(() => ({}))],
    ['NetworkDriver.DiscoverDelete', call(() => ({}))],
    ['IpamDriver.GetCapabilities', bare(() => ipam.capabilities())],
    ['IpamDriver.GetDefaultAddressSpaces', bare(() => ipam.addressSpaces())],
    ['IpamDriver.RequestPool', call((body, undo) => ipam.requestPool(body, undo))],
    ['IpamDriver.ReleasePool', call((body) => ipam.releasePool(body))],
    ['IpamDriver.RequestAddress', call((body, undo) => ipam.requestAddress(body, undo))],
    ['IpamDriver.ReleaseAddress', call((body) => ipam.releaseAddress(body))],
  ]);
}
