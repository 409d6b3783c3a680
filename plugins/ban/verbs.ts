import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'
import { type Page, pageOptions } from '../kit/verbs/page.ts'

const name = { type: 'string', minLength: 1, maxLength: 1000, default: null } as const

/** Whom: one of these. */
const whom = {
  /** The client id. */
  id: name,
  /** The user name. */
  user: name,
  /** The address, or a network: `10.0.0.0/8`. */
  address: name,
} as const

export const banVerb = {
  name: 'ban',
  help: 'let a client id, a user or an address connect no more, for a time or until unban; who is connected is sent away',
  example: 'ban --address 10.1.0.0/16 --for 1h',
  role: 'operate',
  changes: true,
  takes: {
    ...whom,
    /** How long. Left out: until `unban`. */
    for: { type: 'duration', minimum: '1s', default: null },
    /** Why, for other operators; clients are not told. */
    reason: { type: 'string', maxLength: 500, default: null },
  },
  positional: ['id'],
} as const satisfies VerbDeclaration

export const unbanVerb = {
  name: 'unban',
  help: 'let a client id, a user or an address connect again',
  example: 'unban --user eve',
  role: 'operate',
  changes: true,
  yes: 'removed',
  takes: whom,
  positional: ['id'],
} as const satisfies VerbDeclaration

export const bansVerb = {
  name: 'bans',
  help: 'who may not connect, until when, who said so and why',
  example: 'bans --match 10.1.',
  role: 'read',
  takes: {
    /** Whose client id, user name or address has this in it. */
    match: { type: 'string', minLength: 1, default: null },
    ...pageOptions,
  },
} as const satisfies VerbDeclaration

/** A ban, in one row. */
export interface BanRow {
  /** What is banned: a client id (`id`), a `user`, an `address`. */
  readonly by: 'id' | 'user' | 'address'
  /** Its name: a network as `10.1.0.0/16`. */
  readonly name: string
  /** When the ban ends: milliseconds since the Unix epoch; null: by `unban` only. */
  readonly endsAt: number | null
  /** When it was said: milliseconds since the Unix epoch; null: unknown. */
  readonly bannedAt: number | null
  /** Who said so. */
  readonly actor: string | null
  /** Why. */
  readonly reason: string | null
}

/** What `ban` has done. */
export interface BanAnswer extends BanRow {
  /** Connections of this node that were closed; other nodes close theirs when they hear of the ban. */
  readonly connections: number
}

interface Whom {
  id?: string | null
  user?: string | null
  address?: string | null
}

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    ban: [given: Whom & { for?: number | string | null; reason?: string | null }, answer: BanAnswer]
    unban: [given: Whom, answer: { by: BanRow['by']; name: string; removed: boolean }]
    bans: [given: { match?: string | null; limit?: number; after?: string | null }, answer: Page<BanRow>]
  }
}
