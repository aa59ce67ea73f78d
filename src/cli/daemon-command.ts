/** daemon: the thing systemd starts */
import { Command, Option } from 'commander';
import { DEFAULT_SOCKET, DEFAULT_STATE } from '../control/paths.js';
import { run } from './command.js';

interface DaemonOptions {
  socket?: string;
  state?: string;
  config?: string;
  group?: string;
  logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

export function daemonCommand(): Command {
  return new Command('daemon')
    .description('run the daemon in the foreground; SIGTERM ends it and removes what it made')
    .option('--socket <path>', `where it listens (or TAPBRIDGE_SOCKET; default: ${DEFAULT_SOCKET})`)
    .option('--state <dir>', `where it keeps what must survive a crash (default: ${DEFAULT_STATE})`)
    .option('--config <file>', 'YAML: socket, state, group, logLevel, and bridges to make at start')
    .option('--group <group>', 'a group that may use the socket, too (default: only its owner)')
    .addOption(new Option('--log-level <level>', 'default: info').choices(['debug', 'info', 'warn', 'error', 'silent']))
    .action((options: DaemonOptions) =>
      run('daemon', async () => {
        const config = options.config === undefined ? {} : await (await import('../daemon/config.js')).loadConfig(options.config);
        const { createLog } = await import('../daemon/log.js');
        const { runDaemon } = await import('../daemon/daemon.js');
        const terminal = process.stderr.isTTY === true;
        const log = createLog(options.logLevel ?? config.logLevel ?? 'info', terminal, terminal && !process.env['NO_COLOR']);
        const status = await runDaemon({
          socket: options.socket ?? config.socket ?? (process.env['TAPBRIDGE_SOCKET'] || DEFAULT_SOCKET),
          state: options.state ?? config.state ?? DEFAULT_STATE,
          group: options.group ?? config.group,
          bridges: config.bridges,
          log,
        });
        process.exit(status);
      }),
    );
}
