/** daemon: the thing systemd starts */
import { Command, Option } from 'commander';
import { ON_STOP, type OnStop } from '../control/on-stop.js';
import { DEFAULT_SOCKET, DEFAULT_STATE } from '../control/paths.js';
import type { Config } from '../daemon/config.js';
import type { DockerPluginOptions } from '../daemon/docker-plugin.js';
import { KEEP_AWAKE, type KeepAwake } from '../daemon/keep-awake.js';
import { MAX_THREADS } from '../engine/protocol.js';
import { run } from './command.js';
import { UsageError } from './failure.js';
import { wholeNumber } from './values.js';

interface DaemonOptions {
  socket?: string;
  state?: string;
  config?: string;
  insecureConfig?: boolean;
  group?: string;
  threads?: string;
  keepAwake?: KeepAwake;
  docker?: string | true;
  metrics?: string;
  onStop?: OnStop;
  logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

export function daemonCommand(): Command {
  return new Command('daemon')
    .description('run the daemon in the foreground; SIGTERM ends it, and removes what it made or leaves it to the next one')
    .option('--socket <path>', `where it listens (or TAPBRIDGE_SOCKET; default: ${DEFAULT_SOCKET})`)
    .option('--state <dir>', `where it keeps what must survive a crash (default: ${DEFAULT_STATE})`)
    .option('--config <file>', 'YAML: socket, state, group, threads, keepAwake, metrics, logLevel, and bridges to make at start')
    .option('--insecure-config', 'take a configuration file that others own or may write, too')
    .option('--group <group>', 'a group that may use the socket, too (default: only its owner)')
    .option('--threads <n>', `engine threads, 1 to ${MAX_THREADS} (default: 1)`)
    .addOption(
      new Option(
        '--keep-awake <when>',
        'keep idle cores from sleeping while there is traffic (default: auto, in virtual machines of up to 4 cores)',
      ).choices(KEEP_AWAKE),
    )
    .option('--docker [name]', "serve Docker's network and IPAM driver of this name (default: tapbridge)")
    .option('--metrics <address:port>', 'serve /metrics and /healthz over TCP, too, read-only: 127.0.0.1:9477')
    .addOption(new Option('--on-stop <what>', 'what SIGTERM leaves (default: remove, with --docker keep)').choices(ON_STOP))
    .addOption(new Option('--log-level <level>', 'default: info').choices(['debug', 'info', 'warn', 'error', 'silent']))
    .action((options: DaemonOptions) =>
      run('daemon', async () => {
        const { limitPrivileges } = await import('../daemon/privileges.js');
        // Does not return when the process has more than it needs: it is started anew then.
        const unlimited = await limitPrivileges(() => groupOf(options));
        const config = options.config === undefined ? {} : await loadConfig(options.config, options.insecureConfig);
        const { createLog } = await import('../daemon/log.js');
        const { runDaemon } = await import('../daemon/daemon.js');
        const terminal = process.stderr.isTTY === true;
        const log = createLog(options.logLevel ?? config.logLevel ?? 'info', terminal, terminal && !process.env['NO_COLOR']);
        if (unlimited !== null) log.warn({ reason: unlimited }, `the daemon has more privileges than it needs: ${unlimited}`);
        const status = await runDaemon({
          socket: options.socket ?? config.socket ?? (process.env['TAPBRIDGE_SOCKET'] || DEFAULT_SOCKET),
          state: options.state ?? config.state ?? DEFAULT_STATE,
          group: options.group ?? config.group,
          threads: options.threads === undefined ? config.threads : threadCount(options.threads),
          keepAwake: options.keepAwake ?? config.keepAwake,
          metrics: options.metrics ?? config.metrics,
          docker: dockerOptions(options.docker, config.docker),
          onStop: options.onStop ?? config.onStop,
          nat: config.nat,
          bridges: config.bridges,
          log,
        });
        process.exit(status);
      }),
    );
}

/** @returns its number; null: none is named */
async function groupOf({ group, config, insecureConfig }: DaemonOptions): Promise<number | null> {
  const [{ groupId }, { groupIn, readConfig }] = await Promise.all([
    import('../daemon/socket.js'),
    import('../daemon/config-file.js'),
  ]);
  const name = group ?? (config === undefined ? undefined : groupIn(await readConfig(config, insecureConfig)));
  return name === undefined ? null : groupId(name);
}

/** Loaded when there is one: it takes YAML and schemas. */
async function loadConfig(path: string, insecure = false): Promise<Config> {
  return (await import('../daemon/config.js')).loadConfig(path, insecure);
}

/** The command line names the driver, the configuration says the rest. */
function dockerOptions(option: string | true | undefined, config: Config['docker']): DockerPluginOptions | undefined {
  const settings = typeof config === 'object' ? config : typeof config === 'string' ? { name: config } : {};
  if (typeof option === 'string') return { ...settings, name: option };
  return option === true || (config !== undefined && config !== false) ? settings : undefined;
}

function threadCount(text: string): number {
  const threads = wholeNumber('--threads', text);
  if (threads < 1 || threads > MAX_THREADS) throw new UsageError(`--threads must be from 1 to ${MAX_THREADS}, not ${text}`);
  return threads;
}
