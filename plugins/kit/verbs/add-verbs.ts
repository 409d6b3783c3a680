import type { Broker } from '../../../core/broker.ts'
import { addChecks } from './checks.ts'
import { openapiVerb } from './declarations.ts'
import { defineVerb } from './define-verb.ts'
import type { AnswerSchemas } from './openapi.ts'
import { beginUptime } from './status.ts'
import { verbs } from './table.ts'

/** Gives a broker what every broker can be asked, whatever plugins it has. `answers`: what verbs answer, as far as that was declared. */
export function addVerbs(broker: Broker, answers: () => Promise<AnswerSchemas>): void {
  beginUptime(broker)
  addChecks(broker)
  for (const { declaration, load } of verbs) broker.verbs.add(defineVerb(broker, declaration, load))
  broker.verbs.add(defineVerb(broker, openapiVerb, async () => (await import('./openapi.ts')).openapiWith(await answers())))
}
