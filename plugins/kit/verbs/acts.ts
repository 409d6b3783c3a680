import { ReasonCode } from '../../../core/reason.ts'
import type { kickVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import type { MissingNode, VerbPart } from './verbs.ts'

/** How many connections it concerned, of all nodes that have answered. */
export interface CountAnswer {
  /** How many. */
  readonly count: number
  /** Nodes that have not answered. */
  readonly missing?: readonly MissingNode[]
}

/** Sends one client away, or all of a user; sessions stay as long as they asked for. */
export const kick: VerbWork<typeof kickVerb.takes> = {
  run(broker, { id, user }): CountAnswer {
    const found = id !== null ? [broker.clientOf(id)] : user !== null ? [...broker.clients].filter(({ username }) => username === user) : []
    let count = 0
    for (const client of found) {
      if (client === undefined || client.closed) continue
      client.close(ReasonCode.AdministrativeAction, 'disconnected by an operator')
      count += 1
    }
    return { count }
  },
  merge: sumOf,
}

/** The sum over all nodes. */
export function sumOf(parts: readonly VerbPart[], missing: readonly MissingNode[]): CountAnswer {
  const count = parts.reduce((sum, { answer }) => sum + (answer as CountAnswer).count, 0)
  return { count, ...(missing.length > 0 ? { missing } : {}) }
}
