/** What an engine calls a container or a network, in a line or a column. */
import type { ContainerInfo, NetworkInfo } from '../control/model.js';

/** As engines shorten them. */
const SHORT_ID = 12;

/** 'docker:web'; without a name 'docker:4f1c2b7d90aa'. */
export function labelText({ engine, id, name }: ContainerInfo | NetworkInfo): string {
  return `${engine}:${name ?? id.slice(0, SHORT_ID)}`;
}
