/** What the daemon says of itself. */
import type { Client } from '../../client/client.js';
import { ClientError } from '../../client/client-error.js';
import type { BridgeInfo, UplinkInfo } from '../../control/model.js';
import { packageVersion } from '../../daemon/version.js';
import { type Finding, fail, ok, warn } from './finding.js';

const AREA = 'daemon';

export interface DaemonFacts {
  findings: Finding[];
  /** Empty without a daemon. */
  bridges: BridgeInfo[];
  uplinks: UplinkInfo[];
  /** Names of the interfaces its ports have in its own namespace. */
  interfaces: ReadonlySet<string>;
}

export async function askDaemon(client: Client): Promise<DaemonFacts> {
  const nothing = { bridges: [], uplinks: [], interfaces: new Set<string>() };
  try {
    const [version, health, bridges, uplinks] = await Promise.all([
      client.version(),
      client.health(),
      client.listBridges(),
      client.listUplinks(),
    ]);
    const findings: Finding[] = [versionFinding(version), ...health.checks.map(healthFinding)];
    const ports = (await Promise.all(bridges.map(({ name }) => client.listPorts(name)))).flat();
    const interfaces = ports.flatMap(({ interface: name, netns, pid }) =>
      name === null || netns !== null || pid !== null ? [] : [name],
    );
    return { findings, bridges, uplinks, interfaces: new Set(interfaces) };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    if (error.status === 0 && /not running/.test(error.message)) {
      return {
        ...nothing,
        findings: [
          warn(AREA, error.message, 'no container has a network of tapbridge', 'tapbridge daemon; or systemctl start tapbridge'),
        ],
      };
    }
    return { ...nothing, findings: [fail(AREA, error.message, 'it cannot be asked', error.hint)] };
  }
}

function versionFinding({ version, pid }: { version: string; pid: number }): Finding {
  const own = packageVersion();
  const found = `version ${version}, process ${pid}`;
  if (version === own) return ok(AREA, found);
  return warn(
    AREA,
    `${found}, and this program is ${own}`,
    'the daemon is still that of before an upgrade',
    'systemctl restart tapbridge: connections go on',
  );
}

function healthFinding({ name, status, message }: { name: string; status: Finding['status']; message: string }): Finding {
  const found = `${name}: ${message}`;
  if (status === 'ok') return ok(AREA, found);
  if (status === 'warn')
    return warn(AREA, found, 'not all that was asked of it is there', 'look at its log, and at "tapbridge uplinks"');
  return fail(AREA, found, 'it does not do its work', 'look at its log; systemctl restart tapbridge');
}
