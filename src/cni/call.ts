/** One call of the plugin: who is meant, which network, and the daemon. */
import type { Client } from '../client/client.js';
import type { Environment } from './environment.js';
import type { Network } from './network.js';

export interface Call {
  environment: Environment;
  network: Network;
  client: Client;
}
