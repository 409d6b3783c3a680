import type { Rights } from '../../core/publisher.ts'
import { isTopicFilter } from '../../core/routing/topic.ts'

/** Admitted, and nothing is said of rights. */
const nothingSaid: Rights = Object.freeze({})

/** The rights that the body of a 200 gives, with the lists that it names. Throws where it is not what the contract says. */
export function rightsOf(body: string): Rights {
  if (body.trim() === '') return nothingSaid
  const answer = JSON.parse(body) as unknown
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) throw new Error('not an object')
  const { authorizedPub, authorizedSub } = answer as Record<string, unknown>
  return { ...listOf('authorizedPub', authorizedPub), ...listOf('authorizedSub', authorizedSub) }
}

function listOf(name: keyof Rights, value: unknown): Rights {
  // The Java service leaves a list out, or says null, where there is none.
  if (value === undefined || value === null) return {}
  if (!Array.isArray(value) || !value.every(one => typeof one === 'string')) throw new Error(`${name} is no list of texts`)
  const wrong = value.find(one => !isTopicFilter(one))
  if (wrong !== undefined) throw new Error(`${name} holds ${JSON.stringify(wrong).slice(0, 100)}, which is no topic filter`)
  return { [name]: value }
}
