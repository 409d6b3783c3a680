import type { Rights } from '../../core/publisher.ts'
import { isTopicFilter } from '../../core/routing/topic.ts'

/** Admitted, and nothing more. */
const noRights: Rights = Object.freeze({ authorizedPub: Object.freeze([]), authorizedSub: Object.freeze([]) })

/** The rights that the body of a 200 gives: none where it is empty. Throws where it is not what the contract says. */
export function rightsOf(body: string): Rights {
  if (body.trim() === '') return noRights
  const answer = JSON.parse(body) as unknown
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) throw new Error('not an object')
  const { authorizedPub, authorizedSub } = answer as Record<string, unknown>
  return { authorizedPub: filtersOf('authorizedPub', authorizedPub), authorizedSub: filtersOf('authorizedSub', authorizedSub) }
}

function filtersOf(name: string, value: unknown): readonly string[] {
  // The Java service leaves a list out, or says null, where there is none.
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || !value.every(one => typeof one === 'string')) throw new Error(`${name} is no list of texts`)
  const wrong = value.find(one => !isTopicFilter(one))
  if (wrong !== undefined) throw new Error(`${name} holds ${JSON.stringify(wrong).slice(0, 100)}, which is no topic filter`)
  return value
}
