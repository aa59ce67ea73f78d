/** Completion scripts for shells, generated from the tree of commands so that they cannot fall behind it. */
import { Argument, Command } from 'commander';
import { UsageError } from './failure.js';
import { print } from './output.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface Node {
  /** 'show', 'fdb add'; '' is the program. */
  path: string;
  description: string;
  commands: { name: string; description: string }[];
  options: { long: string; description: string }[];
  /** Fixed choices of its arguments. */
  choices: string[];
}

export function completionCommand(): Command {
  return new Command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText(
      'after',
      `
  source <(tapbridge completion bash)
  tapbridge completion zsh > "\${fpath[1]}/_tapbridge"
  tapbridge completion fish > ~/.config/fish/completions/tapbridge.fish`,
    )
    .action(async (shell: Shell, _options: object, command: Command) => {
      const program = command.parent;
      if (program === null) throw new UsageError('completion is a command of tapbridge');
      await print(completionScript(shell, program));
    });
}

export function completionScript(shell: Shell, program: Command): string {
  const nodes = nodesOf(program, '');
  return shell === 'bash' ? bash(nodes) : shell === 'zsh' ? zsh(nodes) : fish(nodes);
}

function nodesOf(command: Command, path: string): Node[] {
  const node: Node = {
    path,
    description: command.description(),
    commands: command.commands.map((child) => ({ name: child.name(), description: child.description() })),
    options: command.options.map(({ long, description }) => ({ long: long as string, description })),
    choices: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
  };
  const below = command.commands.flatMap((child) => nodesOf(child, path === '' ? child.name() : `${path} ${child.name()}`));
  return [node, ...below];
}

function words(node: Node): string {
  return [...node.commands.map(({ name }) => name), ...node.choices, ...node.options.map(({ long }) => long), '--help'].join(' ');
}

function bash(nodes: Node[]): string {
  const cases = nodes.map((node) => `    '${node.path}') words='${words(node)}' ;;`);
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  return `# bash completion for tapbridge: source <(tapbridge completion bash)
_tapbridge() {
  local cur=\${COMP_WORDS[COMP_CWORD]} path='' words='' next at known
  for ((at = 1; at < COMP_CWORD; at++)); do
    next=\${path:+$path }\${COMP_WORDS[at]}
    for known in ${paths.join(' ')}; do
      if [[ $next == "$known" ]]; then path=$next; break; fi
    done
  done
  case $path in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ \${#COMPREPLY[@]} -eq 0 ]]; then COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -F _tapbridge tapbridge
`;
}

function zsh(nodes: Node[]): string {
  const cases = nodes.map((node) => {
    const entries = [
      ...node.commands.map(({ name, description }) => quoted(`${name}:${description}`)),
      ...node.choices.map(quoted),
      ...node.options.map(({ long, description }) => quoted(`${long}:${description}`)),
    ];
    return `    (${quoted(node.path)}) entries=(${entries.join(' ')}) ;;`;
  });
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  return `#compdef tapbridge
# zsh completion for tapbridge
_tapbridge() {
  local path_='' next known
  local -a entries
  local -i at
  for ((at = 2; at < CURRENT; at++)); do
    next="\${path_:+$path_ }\${words[at]}"
    for known in ${paths.join(' ')}; do
      if [[ $next == $known ]]; then path_=$next; break; fi
    done
  done
  case $path_ in
${cases.join('\n')}
  esac
  _describe 'tapbridge' entries || _files
}
compdef _tapbridge tapbridge
`;
}

function fish(nodes: Node[]): string {
  const lines = nodes.flatMap((node) => {
    const seen =
      node.path === ''
        ? '__fish_use_subcommand'
        : node.path
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ');
    const condition = `-n '${seen}'`;
    return [
      ...node.commands.map(
        ({ name, description }) => `complete -c tapbridge ${condition} -f -a ${name} -d ${quoted(description)}`,
      ),
      ...node.choices.map((choice) => `complete -c tapbridge ${condition} -f -a ${choice}`),
      ...node.options.map(
        ({ long, description }) => `complete -c tapbridge ${condition} -l ${long.slice(2)} -d ${quoted(description)}`,
      ),
    ];
  });
  return `# fish completion for tapbridge\n${lines.join('\n')}\n`;
}

/** For single quotes of a shell; colons of descriptions stay as they are. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
