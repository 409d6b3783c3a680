import type { Hooks } from '../../core/hooks.ts'
import { Stage } from '../../core/hooks.ts'
import { reasonName } from '../kit/reason-name.ts'

const tap = { name: 'metrics', stage: Stage.Observe }

/** What the broker counts only in all, by reason. Nothing of it is on the way of a message that is delivered. */
export class EventCounts {
  /** Connections that ended, by who ended them and why: `client normalDisconnection`. */
  readonly disconnects = new Map<string, number>()
  /** Filters of SUBSCRIBE packets that were refused. */
  readonly subscribes = new Map<string, number>()
  /** Publishes that rights, limits or plugins have refused. */
  readonly publishes = new Map<string, number>()

  constructor(hooks: Hooks) {
    // From 0 on, so that the first of them is an increase.
    for (const ending of ['client normalDisconnection', 'network unspecifiedError', 'server keepAliveTimeout', 'server sessionTakenOver'])
      this.disconnects.set(ending, 0)
    for (const refused of [this.subscribes, this.publishes]) refused.set('notAuthorized', 0)
    hooks.onDisconnect.tap(tap, (_client, { by, code }) => {
      // What a client says that goes in good order is 0x00 or, for its will to be sent, 0x04.
      add(this.disconnects, `${by} ${code === 0 ? 'normalDisconnection' : labelOf(code)}`)
    })
    hooks.onSubscribeRefused.tap(tap, (_client, _subscription, code) => add(this.subscribes, labelOf(code)))
    hooks.onDrop.tap(tap, (_clientId, _message, reason, code) => {
      if (reason === 'refused' && code !== undefined) add(this.publishes, labelOf(code))
    })
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** A reason code as labels have it: `0x8e` is `sessionTakenOver`. */
function labelOf(code: number): string {
  const name = reasonName(code)
  return name.startsWith('QoS') ? `qos${name.slice(3)}` : name.charAt(0).toLowerCase() + name.slice(1)
}
