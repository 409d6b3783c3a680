import { OperatorError } from '../../core/errors.ts'
import { validateOptions } from '../kit/options/validation.ts'
import { readYaml, type YamlError } from '../kit/yaml.ts'
import { topicSecurityManifest } from './manifest.ts'
import type { RuleInput } from './rules.ts'

/** The rules of a file: a list, in JSON or YAML (of which JSON is a part). */
export function parseRules(text: string, path: string): readonly RuleInput[] {
  let list: unknown
  try {
    list = readYaml(path, text)
  } catch (cause) {
    const { place, message } = cause as YamlError
    throw new OperatorError('ERR_RULES', `topicSecurity.rulesFile: ${path}${place}: ${message}`, { cause })
  }
  // An empty file says nothing, so it allows nothing.
  const { options, problems } = validateOptions({ rules: topicSecurityManifest.options.rules }, { rules: list ?? [] }, '')
  if (problems.length > 0) {
    throw new OperatorError(
      'ERR_RULES',
      problems.map(problem => `topicSecurity.rulesFile: ${path}: ${problem.path}: ${problem.text}`),
    )
  }
  return (options as { rules: readonly RuleInput[] }).rules
}
