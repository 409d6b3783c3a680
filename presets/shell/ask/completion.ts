import { OperatorError } from '../../../core/errors.ts'
import type { VerbRow } from '../../../plugins/kit/verbs/listed.ts'

const others = ['start', 'check', 'init', 'create-plugin', 'passwd', 'token', 'help', 'completion']

/** A script that has a shell complete verbs and their options: `source <(mqttx-broker completion bash)`. */
export function completion(shell: string | undefined, verbs: readonly VerbRow[]): string[] {
  const first = [...new Set([...others, ...verbs.map(({ name }) => name.split(' ')[0]!)])]
  const options = (verb: VerbRow): string =>
    [...Object.keys(verb.takes), 'json', 'all', 'socket', 'help'].map(name => `--${name}`).join(' ')
  const seconds = (word: string): string[] =>
    verbs.flatMap(({ name }) => (name.startsWith(`${word} `) ? [name.slice(word.length + 1)] : []))
  const words = (word: string): string => {
    const verb = verbs.find(({ name }) => name === word)
    return [...seconds(word), ...(verb === undefined ? [] : [options(verb)])].join(' ')
  }
  const byFirst = [...new Set(verbs.map(({ name }) => name.split(' ')[0]!))]
  switch (shell) {
    case 'bash':
    case 'zsh':
      return [
        ...(shell === 'zsh' ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
        '_mqttx_broker() {',
        '  local verb; read -r _ verb _ <<< "$COMP_LINE"',
        '  local cur=$2 words',
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        `    words="${first.join(' ')}"`,
        '  else',
        '    case $verb in',
        ...byFirst.map(word => `      ${word}) words="${words(word)}" ;;`),
        '      *) words="" ;;',
        '    esac',
        '  fi',
        '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        '}',
        'complete -o default -F _mqttx_broker mqttx-broker',
      ]
    case 'fish':
      return [
        `complete -c mqttx-broker -n __fish_use_subcommand -f -a '${first.join(' ')}'`,
        ...byFirst.map(word => `complete -c mqttx-broker -n '__fish_seen_subcommand_from ${word}' -a '${words(word)}'`),
      ]
    default:
      throw new OperatorError(
        'ERR_ARGUMENTS',
        `completion: say for which shell: bash, zsh or fish, as in: source <(mqttx-broker completion bash)`,
      )
  }
}
