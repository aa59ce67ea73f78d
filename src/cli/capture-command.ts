/** capture BRIDGE: frames as lines, or as pcapng into a file or a pipe */
import type { Command } from 'commander';
import type { CaptureOptions } from '../control/model.js';
import { type ClientOptions, clientCommand, withClient } from './command.js';
import { UsageError } from './failure.js';
import { askPortNames } from './port-names.js';
import { wholeNumber } from './values.js';

interface Options extends ClientOptions {
  port?: string;
  write?: string;
  count?: string;
  snaplen?: string;
}

export function captureCommand(): Command {
  return clientCommand('capture', 'watch the frames of a bridge; Ctrl-C ends it')
    .argument('<bridge>')
    .option('--port <port>', 'only what this port receives and what is sent to it')
    .option('-w, --write <file|->', 'write pcapng instead of printing lines; - is standard output')
    .option('-c, --count <frames>', 'end after so many frames')
    .option('--snaplen <bytes>', 'bytes kept of each frame (default: all)')
    .addHelpText(
      'after',
      `
  tapbridge capture tb0 -c 10
  tapbridge capture tb0 -w - | tcpdump -nr -
  tapbridge capture tb0 --port web -w web.pcapng`,
    )
    .action((bridge: string, options: Options) =>
      withClient(`capture ${bridge}`, options, async (client) => {
        if (options.write === '-' && process.stdout.isTTY === true) {
          throw new UsageError('pcapng is not for a terminal', 'pipe it: tapbridge capture ... -w - | tcpdump -nr -');
        }
        const request: CaptureOptions = {
          port: options.port,
          count: options.count === undefined ? undefined : wholeNumber('--count', options.count),
          snapLength: options.snaplen === undefined ? undefined : wholeNumber('--snaplen', options.snaplen),
        };
        const names = await askPortNames(client, bridge);
        const capture = await client.capture(bridge, request);
        try {
          // The wire formats are loaded for this command only.
          const { follow } = await import('./follow-capture.js');
          await follow(capture, bridge, options.write, names);
        } finally {
          capture.close();
        }
      }),
    );
}
