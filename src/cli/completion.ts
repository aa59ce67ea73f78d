/**
 * Completion scripts for shells, generated from the tree of commands so that they cannot fall behind it. Names of bridges, ports, publishes and
 * interfaces are asked for at the time (`tapbridge complete`); without a daemon there are none.
 */
import { Argument, Command } from 'commander';
import type { Kind } from './complete-command.js';
import { namesOfArguments, namesOfOption } from './completion-names.js';
import { UsageError } from './failure.js';
import { print } from './output.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface Node {
  /** 'show', 'fdb add'; '' is the program. */
  path: string;
  description: string;
  commands: { name: string; description: string }[];
  options: { long: string; description: string; takesValue: boolean; names: Kind | null }[];
  /** Fixed choices of its arguments. */
  choices: string[];
  /** What its arguments name, by their place. */
  names: readonly (Kind | null)[];
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
    options: command.options.map(({ long, description, required, optional }) => ({
      long: long as string,
      description,
      takesValue: required || optional,
      names: namesOfOption(path, long as string),
    })),
    choices: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    names: namesOfArguments(path),
  };
  const below = command.commands.flatMap((child) => nodesOf(child, path === '' ? child.name() : `${path} ${child.name()}`));
  return [node, ...below];
}

function words(node: Node): string {
  return [...node.commands.map(({ name }) => name), ...node.choices, ...node.options.map(({ long }) => long), '--help'].join(' ');
}

/** Options that take a value, each between spaces, so that a shell finds ' --mtu ' in it. */
function valueOptions({ options }: Node): string {
  return ` ${options.flatMap(({ long, takesValue }) => (takesValue ? [long] : [])).join(' ')} `;
}

/** Kinds by place, '-' for none. */
function argumentNames({ names }: Node): string {
  return names.map((kind) => kind ?? '-').join(' ');
}

/** '--iface=interfaces', for options whose values have names. */
function optionNames({ options }: Node): string[] {
  return options.flatMap(({ long, names }) => (names === null ? [] : [`${long}=${names}`]));
}

function bash(nodes: Node[]): string {
  const cases = nodes.map((node) => {
    const fields = [`words='${words(node)}'`, `values='${valueOptions(node)}'`, `kinds=(${argumentNames(node)})`];
    return `    '${node.path}') ${fields.join(' ')} named=' ${optionNames(node).join(' ')} ' ;;`;
  });
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  return `# bash completion for tapbridge: source <(tapbridge completion bash)
_tapbridge() {
  local path='' words='' values='' named='' kind='' bridge='' option='' cur word next known at from=0 place=0
  local -a line=() kinds=()
  # Bash breaks words at : and =, as in 8080:80.
  for ((at = 1; at <= COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if ((\${#line[@]} > 0)) && [[ $word == [:=]* || \${line[-1]} == *[:=] ]]; then line[-1]+=$word; else line+=("$word"); fi
  done
  cur=\${line[-1]}
  for ((at = 0; at < \${#line[@]} - 1; at++)); do
    next=\${path:+$path }\${line[at]}
    for known in ${paths.join(' ')}; do
      if [[ $next == "$known" ]]; then path=$next from=$((at + 1)); break; fi
    done
  done
  case $path in
${cases.join('\n')}
  esac
  for ((at = from; at < \${#line[@]} - 1; at++)); do
    word=\${line[at]}
    if [[ -n $option ]]; then option=''
    elif [[ $word == -* ]]; then if [[ $values == *" $word "* ]]; then option=$word; fi
    else bridge=\${bridge:-$word} place=$((place + 1)); fi
  done
  if [[ -n $option ]]; then
    words=''
    if [[ $named == *" $option="* ]]; then kind=\${named#*" $option="} kind=\${kind%% *}; fi
  else
    kind=\${kinds[place]}
  fi
  if [[ -n $kind && $kind != - ]]; then words+=" $("\${COMP_WORDS[0]}" complete "$kind" $bridge 2>/dev/null)"; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ $cur == *:* ]]; then COMPREPLY=("\${COMPREPLY[@]#"\${cur%:*}:"}"); fi
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
    const fields = [`entries=(${entries.join(' ')})`, `values='${valueOptions(node)}'`, `kinds=(${argumentNames(node)})`];
    return `    (${quoted(node.path)}) ${fields.join(' ')} named=' ${optionNames(node).join(' ')} ' ;;`;
  });
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  return `#compdef tapbridge
# zsh completion for tapbridge
_tapbridge() {
  local path_='' next known word option='' bridge='' kind='' values='' named=''
  local -a entries kinds names
  local -i at from=2 place=1
  for ((at = 2; at < CURRENT; at++)); do
    next="\${path_:+$path_ }\${words[at]}"
    for known in ${paths.join(' ')}; do
      if [[ $next == $known ]]; then path_=$next; from=$((at + 1)); break; fi
    done
  done
  case $path_ in
${cases.join('\n')}
  esac
  for ((at = from; at < CURRENT; at++)); do
    word=\${words[at]}
    if [[ -n $option ]]; then option=''
    elif [[ $word == -* ]]; then if [[ $values == *" $word "* ]]; then option=$word; fi
    else bridge=\${bridge:-$word}; place+=1; fi
  done
  if [[ -n $option ]]; then
    entries=()
    if [[ $named == *" $option="* ]]; then kind=\${named#*" $option="}; kind=\${kind%% *}; fi
  else
    kind=\${kinds[place]}
  fi
  if [[ -n $kind && $kind != - ]]; then names=(\${(f)"$(\${words[1]} complete $kind $bridge 2>/dev/null)"}); fi
  if ((\${#names} + \${#entries} == 0)); then _files; return; fi
  if ((\${#names})); then compadd -a names; fi
  if ((\${#entries})); then _describe 'tapbridge' entries; fi
}
compdef _tapbridge tapbridge
`;
}

function fish(nodes: Node[]): string {
  const lines = nodes.flatMap((node) => {
    const path = node.path === '' ? [] : node.path.split(' ');
    const seen =
      path.length === 0 ? '__fish_use_subcommand' : path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const condition = `-n '${seen}'`;
    return [
      ...node.commands.map(
        ({ name, description }) => `complete -c tapbridge ${condition} -f -a ${name} -d ${quoted(description)}`,
      ),
      ...node.choices.map((choice) => `complete -c tapbridge ${condition} -f -a ${choice}`),
      ...(node.names.length === 0
        ? []
        : [`complete -c tapbridge ${condition} -f -a '(__tapbridge_names ${path.length} ${argumentNames(node)})'`]),
      ...node.options.map(({ long, description, names }) => {
        const values = names === null ? '' : ` -x -a '(__tapbridge_ask ${path.length} ${names})'`;
        return `complete -c tapbridge ${condition} -l ${long.slice(2)} -d ${quoted(description)}${values}`;
      }),
    ];
  });
  return `# fish completion for tapbridge
# Arguments so far: what stands behind a command of so many words and is no option.
function __tapbridge_arguments
  set -l words (commandline -opc)
  for word in $words[(math $argv[1] + 2)..-1]
    string match -q -- '-*' $word; or echo $word
  end
end
function __tapbridge_ask
  set -l arguments (__tapbridge_arguments $argv[1])
  tapbridge complete $argv[2] $arguments[1] 2>/dev/null
end
function __tapbridge_names
  set -l arguments (__tapbridge_arguments $argv[1])
  set -l kind $argv[(math (count $arguments) + 2)]
  test -n "$kind" -a "$kind" != -; and __tapbridge_ask $argv[1] $kind
end
${lines.join('\n')}
`;
}

/** For single quotes of a shell; colons of descriptions stay as they are. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
