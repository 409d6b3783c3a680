import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { ruleFilterFault } from '../kit/topics.ts'
import type { limitsManifest } from './manifest.ts'

/** What no schema can say: options that mean nothing by themselves, or contradict each other. */
export function checkLimits(options: OptionsOf<typeof limitsManifest.options>): void {
  const problems: string[] = []
  const pairs = [
    ['connectBurst', 'connectsPerSecond'],
    ['connectBurstPerAddress', 'connectsPerSecondPerAddress'],
    ['messageBurst', 'messagesPerSecond'],
    ['byteBurst', 'bytesPerSecond'],
  ] as const
  for (const [burst, rate] of pairs) {
    if (options[burst] !== null && options[rate] === null)
      problems.push(`limits.${burst}: means nothing without limits.${rate}; set that too, or leave it out`)
  }
  for (const [index, { filter }] of options.topicRates.entries()) {
    if (ruleFilterFault(filter) !== null)
      problems.push(`limits.topicRates[${index}].filter: ${JSON.stringify(filter)} is not a topic filter; write one as in "sensors/#"`)
  }
  const { memory, flapping } = options
  if (flapping.ban !== null && flapping.max === null)
    problems.push('limits.flapping.ban: means nothing without limits.flapping.max; set that too, or leave it out')
  const stages = ['refuseAt', 'pauseAt', 'dropAt', 'disconnectAt'] as const
  for (let i = 1; i < stages.length; i++) {
    const [lower, higher] = [stages[i - 1]!, stages[i]!]
    if (memory[lower] > memory[higher])
      problems.push(
        `limits.memory.${higher}: ${memory[higher]} is below limits.memory.${lower}, ${memory[lower]}; each stage must begin at or above the one before`,
      )
  }
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
}
