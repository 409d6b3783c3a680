import type { Actor } from '../../core/actor.ts'
import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import type { Transport } from '../../core/connection/transport.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import { MessageRefusedError, StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { StateEntry } from '../kit/services/state.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { firstOf, inSlices, readCursor, writeCursor } from '../kit/verbs/page.ts'
import { BanList, banPrefix, writeBan } from './ban-list.ts'
import { banManifest } from './manifest.ts'
import { normalNetwork } from './network-set.ts'
import { type BanAnswer, type BanRow, bansVerb, banVerb, unbanVerb } from './verbs.ts'

// So many refused connections at once are kept until their CONNECT has come, to be told why; the others are just closed.
const toldMax = 256
const banned: Refusal = { reasonCode: ReasonCode.Banned, reasonString: 'banned' }
const tap = { name: 'ban', stage: Stage.Guard }

/** Keeps out whom an operator has banned, at all nodes, until the ban ends. */
export const ban = definePlugin(banManifest, ({ hooks, services, broker, clock, report }) => {
  const list = new BanList()
  const told = new Set<Transport>()
  // Who has just said a ban here, and wants to know how many connections were closed by it.
  const askedFor = new Map<string, (closed: Promise<number>) => void>()
  let refused = 0
  // Bans that have begun in this moment, and the closing of the connections that they concern.
  let begun: { readonly fresh: BanList; readonly closed: Promise<number> } | null = null

  const changed = (key: string, entry: StateEntry | null): void => {
    if (list.changed(key, entry) === null) return
    // Where many are read at once, the clients are gone through once.
    if (begun === null) {
      const fresh = new BanList()
      const closed = Promise.resolve().then(() => {
        begun = null
        return closeAll(broker, fresh)
      })
      closed.catch(report)
      begun = { fresh, closed }
    }
    begun.fresh.changed(key, entry)
    askedFor.get(key)?.(begun.closed)
  }
  let stopWatching = (): void => {}

  hooks.onAccept.tap(tap, transport => {
    if (list.ofAddress(transport.remoteAddress) === undefined) return undefined
    refused += 1
    if (told.size >= toldMax) return false
    told.add(transport)
    return banned
  })
  hooks.onClosed.tap(tap, transport => void told.delete(transport))
  const judge = (client: Client): Refusal | undefined => {
    if (list.size === 0 || list.of(client) === undefined) return undefined
    refused += 1
    return banned
  }
  // Before a password is looked at, as far as CONNECT says who it is; and again by the name that authentication has given.
  hooks.onAttempt.tap(tap, judge)
  hooks.onConnect.tap(tap, judge)

  broker.figures.add({
    name: 'bans',
    type: 'gauge',
    help: 'Client ids, users and addresses that are banned.',
    read: () => [{ value: list.size }],
  })
  broker.figures.add({
    name: 'bans_refused_total',
    type: 'counter',
    help: 'Connections and CONNECTs that were refused because of a ban.',
    read: () => [{ value: refused }],
  })

  broker.verbs.add(
    defineVerb(broker, banVerb, {
      async run(_broker, given, actor: Actor): Promise<BanAnswer> {
        const { by, name, key } = whomOf('ban', given)
        const now = clock.now()
        const expiresAt = given.for === null ? Number.POSITIVE_INFINITY : now + given.for
        const said = { bannedAt: Math.round(now), actor: actor.name.slice(0, 200), reason: given.reason }
        let closed = Promise.resolve(0)
        askedFor.set(key, closing => {
          closed = closing
        })
        try {
          await kept(services.get('state').set(key, writeBan(said), expiresAt))
        } finally {
          askedFor.delete(key)
        }
        const connections = await closed
        return { by, name, endsAt: given.for === null ? null : Math.round(expiresAt), ...said, connections }
      },
    }),
  )
  broker.verbs.add(
    defineVerb(broker, unbanVerb, {
      async run(_broker, given) {
        const { by, name, key } = whomOf('unban', given)
        return { by, name, removed: await kept(services.get('state').delete(key)) }
      },
    }),
  )
  broker.verbs.add(
    defineVerb(broker, bansVerb, {
      async run(_broker, { match, limit, after }) {
        const keyOf = ({ by, name }: BanRow) => [name, by] as const
        const keep = ({ name }: BanRow): boolean => match === null || name.includes(match)
        const { found: rows, more } = await firstOf(broker, list, { limit, after: readCursor(after), keep, keyOf })
        const last = rows.at(-1)
        return { rows, next: more && last !== undefined ? writeCursor(keyOf(last)) : null }
      },
    }),
  )
  return {
    start() {
      const state = services.get('state')
      // What is kept on disk or in Redis may be read later.
      stopWatching = state.watch(banPrefix, changed)
      for (const entry of state.entries(banPrefix)) list.changed(entry.key, entry)
    },
    stop: () => stopWatching(),
  }
})

type Whom = OptionsOf<typeof unbanVerb.takes>

/** Who is meant, and under which key the state has it. */
function whomOf(verb: string, { id, user, address }: Whom): { by: BanRow['by']; name: string; key: string } {
  const said = Object.entries({ id, user, address }).filter(([, name]) => name !== null) as [BanRow['by'], string][]
  const [one, ...more] = said
  if (one === undefined || more.length > 0) throw new OperatorError('ERR_ARGUMENTS', `${verb}: say one of ID, --user and --address`)
  const [by, given] = one
  const name = by === 'address' ? normalNetwork(given) : given
  if (name === null)
    throw new OperatorError('ERR_ARGUMENTS', `${verb}: ${given} is no address and no network; write 10.1.2.3 or 10.1.0.0/16`)
  return { by, name, key: `${banPrefix}${by}/${name}` }
}

/** What the state says against it, with the cure. */
async function kept<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    if (error instanceof StoreAwayError)
      throw new OperatorError('ERR_STATE_AWAY', `what keeps bans does not answer: ${error.message}; try again when it is back`)
    if (error instanceof StoreFullError || error instanceof MessageRefusedError) throw new OperatorError('ERR_STATE_REFUSED', error.message)
    throw error
  }
}

/** Sends away whom bans concern, those too whose CONNACK has not been sent yet; resolves to how many they were. */
async function closeAll(broker: Broker, bans: BanList): Promise<number> {
  let count = 0
  await inSlices(broker, broker.clients, client => {
    if (client.closed || bans.of(client) === undefined) return
    client.close(ReasonCode.Banned, 'banned')
    count += 1
  })
  return count
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** What keeps the state of all nodes (bans) does not answer. */
    ERR_STATE_AWAY: true
    /** What keeps the state of all nodes has no room for more, or refuses this one. */
    ERR_STATE_REFUSED: true
  }
}
