import type { Broker } from '../../../core/broker.ts'
import { addChecks } from './checks.ts'
import { defineVerb } from './define-verb.ts'
import { beginUptime } from './status.ts'
import { verbs } from './table.ts'

/** Gives a broker what every broker can be asked, whatever plugins it has. */
export function addVerbs(broker: Broker): void {
  beginUptime(broker)
  addChecks(broker)
  for (const { declaration, load } of verbs) broker.verbs.add(defineVerb(broker, declaration, load))
}
