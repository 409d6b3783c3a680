import type { Broker } from '../../core/broker.ts'
import { OperatorError } from '../../core/errors.ts'
import { defineVerb, type Role } from '../kit/verbs/define-verb.ts'
import type { WhoamiAnswer } from './answers.ts'
import type { HttpPort } from './http-port.ts'
import { pageVerb, whoamiVerb } from './verbs.ts'

/** What the page asks before anything else, and what lets somebody into it. */
export function addPageVerbs(broker: Broker, port: HttpPort | null): void {
  broker.verbs.add(
    defineVerb(broker, whoamiVerb, {
      run: (_broker, _given, { name, via, role = null }): WhoamiAnswer => ({
        name,
        via,
        role,
        node: broker.verbs.node,
        version: broker.version,
      }),
    }),
  )
  broker.verbs.add(
    defineVerb(broker, pageVerb, {
      run(_broker, { role }, { name, via }) {
        // A session would outlive the token that it was made by.
        if (via === 'http') throw new OperatorError('ERR_ADMIN_PAGE', 'page: over HTTP there is a token already; sign in by that')
        if (port === null)
          throw new OperatorError('ERR_ADMIN_PAGE', 'page: this broker serves no page; set admin.page: true, or start it with --ui')
        return { ...port.entrance({ name, role: role as Role }), role }
      },
    }),
  )
}
