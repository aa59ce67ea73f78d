/** cni install, cni uninstall: the plugin where container runtimes look for it */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { OWN_TYPES } from '../cni/network.js';
import { run } from './command.js';
import type { OwnFile } from './file-plan.js';

interface PlaceOptions {
  binDir: string;
  type: string;
  yes?: boolean;
  replace?: boolean;
}

/** Where containerd, CRI-O and most installations of Kubernetes look; Debian's podman also looks in /usr/lib/cni. */
const BIN_DIR = '/opt/cni/bin';
const MARK = '# Made by "tapbridge cni install"; "tapbridge cni uninstall" removes it.';
const WRAPPER = /^#!\/bin\/sh\n# Made by "tapbridge cni install".*\nexec .* "\$@"\n$/;

export function cniCommand(): Command {
  const command = new Command('cni').description('the CNI plugin: put it where container runtimes look for it, or take it away');
  command.addCommand(
    place('install', 'write a wrapper that starts the plugin with this Node, after showing it')
      .option('--replace', 'also a file that is for something else, or was changed')
      .action((options: PlaceOptions) =>
        run('cni install', async () => {
          const { installFiles } = await import('./installation.js');
          const type = JSON.stringify(options.type);
          await installFiles([wrapper(options)], { ...options, root: '/' }, () => {
            return `a network names it with "type": ${type} (docs/cni.md has an example)\n`;
          });
        }),
      ),
  );
  command.addCommand(
    place('uninstall', 'remove the wrapper again, if nobody changed it').action((options: PlaceOptions) =>
      run('cni uninstall', async () => {
        const { removeFiles } = await import('./installation.js');
        await removeFiles([wrapper(options)], { ...options, root: '/' }, () => '');
      }),
    ),
  );
  return command;
}

function place(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--bin-dir <dir>', 'directory of the CNI plugins', BIN_DIR)
    .addOption(
      new Option('--type <name>', 'name of the file: what configurations write as "type"')
        .choices(OWN_TYPES)
        .default('tapbridge'),
    )
    .option('-y, --yes', 'do not ask');
}

/** Runtimes may have no PATH, so it names Node and the plugin in full. One that names others is of another installation, and ours all the same. */
function wrapper({ binDir, type }: PlaceOptions): OwnFile {
  const plugin = fileURLToPath(new URL('../cni/tapbridge-cni.js', import.meta.url));
  const content = `#!/bin/sh\n${MARK}\nexec ${quoted(process.execPath)} ${quoted(plugin)} "$@"\n`;
  const isOurs = (found: string) => WRAPPER.test(found);
  return { path: join(resolve(binDir), type), what: 'the CNI plugin', content, mode: 0o755, isOurs };
}

function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
