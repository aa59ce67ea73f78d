/** daemon: the thing systemd starts */
import { Command, Option } from 'commander';
import { DEFAULT_SOCKET, DEFAULT_STATE } from '../control/paths.js';
import { MAX_THREADS } from '../engine/protocol.js';
import { run } from './command.js';
import { UsageError } from './failure.js';
import { wholeNumber } from './values.js';

interface DaemonOptions {
  socket?: string;
  state?: string;
  config?: string;
  group?: string;
  threads?: string;
  logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

export function daemonCommand(): Command {
  return new Command('daemon')
    .description('run the daemon in the foreground; SIGTERM ends it and removes what it made')
    .option('--socket <path>', `where it listens (or TAPBRIDGE_SOCKET; default: ${DEFAULT_SOCKET})`)
    .option('--state <dir>', `where it keeps what must survive a crash (default: ${DEFAULT_STATE})`)
    .option('--config <file>', 'YAML: socket, state, group, threads, logLevel, and bridges to make at start')
    .option('--group <group>', 'a group that may use the socket, too (default: only its owner)')
    .option('--threads <n>', `engine threads, 1 to ${MAX_THREADS} (default: 1)`)
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
          threads: options.threads === undefined ? config.threads : threadCount(options.threads),
          nat: config.nat,
          bridges: config.bridges,
          log,
        });
        process.exit(status);
      }),
    );
}

function threadCount(text: string): number {
  const threads = wholeNumber('--threads', text);
  if (threads < 1 || threads > MAX_THREADS) throw new UsageError(`--threads must be from 1 to ${MAX_THREADS}, not ${text}`);
  return threads;
}
