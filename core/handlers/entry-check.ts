import type { Client } from '../connection/client.ts'
import type { LimitName } from '../counter-names.ts'
import type { Counters } from '../counters.ts'
import { cutText } from '../cut-text.ts'
import type { Hooks } from '../hooks.ts'
import { LineThrottle } from '../line-throttle.ts'
import type { Log } from '../log.ts'
import type { Settings } from '../options/settings.ts'
import { ReasonCode } from '../reason.ts'
import type { Refusal } from '../refusals.ts'
import type { Clock } from '../time/clock.ts'

/** What is used of the broker here. */
export interface EntryCheckHost {
  readonly settings: Settings
  readonly hooks: Hooks
  readonly counters: Counters
  readonly clock: Clock
  readonly log: Log
}

const linesEveryMs = 10_000
const cureOfOwned =
  'a session goes to its own user only; if this is the same client under a new user name, give it a new client id, end the session under the old name, or let it expire; mqtt.clientIdOwner: anyone lets any user have any session'

/**
 * Refuses clients that authentication has let in: one whose client id is another user's. Who is refused has touched nothing; each refusal is counted, and is
 * a line in ten seconds for each client id.
 */
export class EntryCheck {
  readonly #host: EntryCheckHost
  readonly #lines: LineThrottle

  constructor(host: EntryCheckHost) {
    this.#host = host
    this.#lines = new LineThrottle(host.clock, { everyMs: linesEveryMs })
  }

  /** Whether a session goes to the user only that it belongs to: by option, else where somebody says who clients are. */
  isByUser({ transport }: Pick<Client, 'transport'>): boolean {
    const { settings, hooks } = this.#host
    const { clientIdOwner } = settings.mqtt
    if (clientIdOwner !== null) return clientIdOwner === 'user'
    return hooks.onAuthenticate.isUsed() || hooks.onAuth.isUsed() || transport.username !== undefined
  }

  /** What a client is told whose client id is that of another user's session. */
  owned(client: Client): Refusal {
    return this.refuse(client, 'clientIdOwner', ReasonCode.ClientIdentifierNotValid, 'this client id belongs to another user', cureOfOwned)
  }

  /** Counts a refusal and says it in the log, with what the operator can do. */
  refuse(client: Client, limit: LimitName, reasonCode: ReasonCode, reasonString: string, cure: string): Refusal {
    const { counters, log } = this.#host
    counters.limited[limit] += 1
    const clientId = cutText(client.clientId)
    const count = this.#lines.pass(`${limit} ${clientId}`)
    const username = client.username === null ? null : cutText(client.username)
    const level = limit === 'uncheckedRights' ? 'warn' : 'info'
    if (count > 0) log[level]({ clientId, username, address: client.remoteAddress, count }, `client refused: ${reasonString}; ${cure}`)
    return { reasonCode, reasonString }
  }
}
