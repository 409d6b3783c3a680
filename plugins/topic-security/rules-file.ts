import { defaultLoaders } from 'cosmiconfig'
import { OperatorError } from '../../core/errors.ts'
import { validateOptions } from '../kit/options/validation.ts'
import { topicSecurityManifest } from './manifest.ts'
import type { RuleInput } from './rules.ts'

/** The rules of a file: a list, in JSON or YAML (of which JSON is a part). */
export function parseRules(text: string, path: string): readonly RuleInput[] {
  let list: unknown
  try {
    list = defaultLoaders['.yaml'](path, text)
  } catch (cause) {
    const { reason, mark, message } = cause as { reason?: string; mark?: { line: number }; message: string }
    const place = mark === undefined ? path : `${path}:${mark.line + 1}`
    throw new OperatorError('ERR_RULES', `topicSecurity.rulesFile: ${place}: ${reason ?? message.split('\n')[0]}`, { cause })
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
