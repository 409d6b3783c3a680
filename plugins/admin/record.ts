import type { Broker } from '../../core/broker.ts'
import type { Hooks } from '../../core/hooks.ts'
import { Stage } from '../../core/hooks.ts'
import type { Log } from '../../core/log.ts'
import type { OperatorAct } from '../../core/operator-act.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Clock } from '../../core/time/clock.ts'
import { alarmsOf } from '../kit/alarms.ts'
import { type ClientEvent, ClientLines } from '../kit/client-lines.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import type { AuditRow, TakeoverRow } from './answers.ts'
import { auditVerb, takeoversVerb } from './verbs.ts'

const actsMax = 1000
const takeoversMax = 1000
const textMax = 200
// Two devices with one client id throw each other out again and again.
const flappingCount = 3
const flappingMs = 60_000
const flaps: ClientEvent = {
  level: 'warn',
  text: 'connections with this client id throw one another out; give each device an id of its own',
  who: 'clientId',
  about: 'address',
}

/** Who did what, and who took over whom: bounded, the oldest goes. */
export class Record {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #acts: AuditRow[] = []
  // Take-overs, each within a minute of the one before.
  readonly #since = new Map<string, number>()
  #taken = 0
  readonly #flapping: ClientLines
  readonly #takeovers = new Map<string, { -readonly [K in keyof TakeoverRow]: TakeoverRow[K] }>()

  constructor(broker: Broker, clock: Clock) {
    this.#broker = broker
    this.#clock = clock
    this.#flapping = new ClientLines(clock, broker.log)
    // Those that come and go by themselves are counted where `limits.flapping` is set.
    const limited = broker.counters.limited as { readonly flapping?: number }
    let before = limited.flapping ?? 0
    let slowedAt = Number.NEGATIVE_INFINITY
    alarmsOf(broker).watch('flapping', now => {
      let count = 0
      if ((limited.flapping ?? 0) > before) slowedAt = now
      before = limited.flapping ?? 0
      for (const [id, { at }] of this.#takeovers) if (now - at < flappingMs && (this.#since.get(id) ?? 0) >= flappingCount) count += 1
      if (count > 0) return `${count} client ids whose connections throw one another out; takeovers lists them`
      return now - slowedAt < flappingMs ? 'client ids connect again and again, and are slowed or banned; the log names them' : null
    })
    broker.figures.add({
      name: 'client_takeovers_total',
      type: 'counter',
      help: 'Connections that ended because another one came with the same client id.',
      read: () => [{ value: this.#taken }],
    })
  }

  /** Says what is still to be said. */
  stop(): void {
    this.#flapping.flush()
  }

  /** Begins to listen, and brings the verbs that tell. */
  tap(hooks: Hooks, log: Log): void {
    const stage = Stage.Observe
    hooks.onOperated.tap({ name: 'admin', stage }, act => {
      if (act.verb === 'operate') this.#acted(act, log)
    })
    hooks.onDisconnect.tap({ name: 'admin', stage }, ({ clientId, remoteAddress }, { code }) => {
      if (code === ReasonCode.SessionTakenOver) this.#takenOver(clientId, remoteAddress)
    })
    const broker = this.#broker
    broker.verbs.add(
      defineVerb(broker, auditVerb, {
        run: (_broker, { limit }) => ({ rows: this.#acts.slice(-limit).reverse() }),
        merge: (parts, missing, { limit }) => ({
          rows: parts
            .flatMap(({ answer }) => (answer as { rows: AuditRow[] }).rows)
            .sort((a, b) => b.at - a.at)
            .slice(0, limit),
          ...(missing.length > 0 ? { missing } : {}),
        }),
      }),
    )
    broker.verbs.add(
      defineVerb(broker, takeoversVerb, {
        run: (_broker, { limit }) => ({
          rows: [...this.#takeovers.values()].sort((a, b) => b.count - a.count || b.at - a.at).slice(0, limit),
        }),
        merge: (parts, missing, { limit }) => ({
          rows: parts
            .flatMap(({ answer }) => (answer as { rows: TakeoverRow[] }).rows)
            .sort((a, b) => b.count - a.count || b.at - a.at)
            .slice(0, limit),
          ...(missing.length > 0 ? { missing } : {}),
        }),
      }),
    )
  }

  #acted({ actor, name, target, failed }: OperatorAct & { readonly verb: 'operate' }, log: Log): void {
    const row: AuditRow = {
      at: Math.round(this.#clock.now()),
      actor: actor.name,
      via: actor.via,
      address: actor.address ?? null,
      verb: name,
      target: targetOf(target),
      failed: failed === null ? null : failed.message,
      node: this.#broker.verbs.node,
    }
    if (this.#acts.length === actsMax) this.#acts.shift()
    this.#acts.push(row)
    const { at: _at, node: _node, ...line } = row
    log.info(line, failed === null ? 'an operator has changed something' : 'an operator was refused, or failed')
  }

  #takenOver(clientId: string, from: string): void {
    const id = clientId.length > textMax ? Buffer.from(`${clientId.slice(0, textMax)}…`).toString() : clientId
    this.#taken += 1
    const known = this.#takeovers.get(id)
    const at = Math.round(this.#clock.now())
    // One that comes back after its network has failed does so once.
    const since = known !== undefined && at - known.at < flappingMs ? (this.#since.get(id) ?? 0) + 1 : 1
    this.#since.set(id, since)
    if (since >= flappingCount) this.#flapping.say(flaps, id, from)
    const by = this.#broker.clientOf(clientId)?.remoteAddress ?? null
    const row = { at, id, count: (known?.count ?? 0) + 1, from, by, node: this.#broker.verbs.node }
    // The one that was taken over last stands last.
    this.#takeovers.delete(id)
    if (this.#takeovers.size === takeoversMax) {
      const oldest = this.#takeovers.keys().next().value!
      this.#takeovers.delete(oldest)
      this.#since.delete(oldest)
    }
    this.#takeovers.set(id, row)
    // The new connection has its session a moment later.
    if (by === null)
      this.#clock.turn(() => {
        row.by = this.#broker.clientOf(clientId)?.remoteAddress ?? null
      })
  }
}

// What it was done to, in short: a payload may be a secret, and is long.
function targetOf(target: object): string {
  const shown = Object.entries(target).map(([name, value]) => `${name}=${name === 'payload' || name === 'lines' ? '…' : shownValue(value)}`)
  return shown.join(' ').slice(0, textMax)
}

function shownValue(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
