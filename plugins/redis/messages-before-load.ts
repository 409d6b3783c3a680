import type { Broker } from '../../core/broker.ts'
import type { Session } from '../../core/connection/client.ts'
import { Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { Member } from '../../core/routing/share-group.ts'
import type { Route, Target } from '../../core/routing/target.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { AppendTarget } from '../../core/sessions/session-store.ts'
import type { RedisSessions } from './sessions.ts'
import type { SlotWriters } from './slot-writers.ts'

interface WithheldMessage {
  readonly message: Message
  readonly release: (error?: Error) => void
  readonly bytes: number
}

/**
 * While Redis has been away since the start, nobody knows which stored sessions a message is for: those who are connected get it at once,
 * its acknowledgement waits, and the stored sessions get it when they are known. Bounded like all that waits for Redis.
 */
export class MessagesBeforeLoad {
  readonly #broker: Broker
  readonly #sessions: RedisSessions
  readonly #writers: SlotWriters
  #messages: WithheldMessage[] = []
  #watching = false

  constructor(broker: Broker, sessions: RedisSessions, writers: SlotWriters) {
    this.#broker = broker
    this.#sessions = sessions
    this.#writers = writers
    sessions.onUnloaded = () => this.#watch()
    sessions.onLoaded = () => this.#release()
  }

  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    this.#broker.hooks.onRoute.tap({ name: 'redis', stage: Stage.Record }, (message, _route, receipt) => {
      if (!this.#sessions.loaded && message.qos > 0 && message.origin !== 'peer') this.#hold(message as Message, receipt)
    })
  }

  #hold(message: Message, receipt: Receipt): void {
    const bytes = queuedBytes(message)
    const full = this.#writers.admit(bytes)
    const release = receipt.hold('redis')
    if (full !== null) release(full)
    else this.#messages.push({ message: message.own(), release, bytes })
  }

  #release(): void {
    const held = this.#messages
    this.#messages = []
    for (const { message, release, bytes } of held) {
      this.#writers.settled(1, bytes)
      const targets = this.#targetsOf(message)
      if (targets.length === 0) {
        release()
        continue
      }
      this.#sessions.append(message, targets, null).then(
        () => release(),
        error => release(error),
      )
    }
  }

  // Stored sessions cannot have connected yet; whoever is connected has had the message.
  #targetsOf(message: Message): AppendTarget[] {
    const route: Route<Session> = this.#broker.routeOf(message.topic)
    const targets = route.targets.filter(({ subscriber }) => isParked(subscriber)).map(target => targetOf(message, target, null))
    for (const group of route.groups) {
      if (!group.members.every(({ subscriber }) => isParked(subscriber))) continue
      const picked = (this.#broker.hooks.onShare.call(group, message) as Member<Session> | undefined) ?? group.members[0]!
      const { subscription, subscriber } = picked
      const identifiers = subscription.identifier > 0 ? [subscription.identifier] : null
      targets.push(targetOf(message, { ...subscription, subscriber, identifiers }, group.key))
    }
    return targets.filter(({ qos }) => qos > 0 || this.#broker.settings.mqtt.queueQoS0)
  }
}

function isParked(session: Session): boolean {
  return session.durable && session.client === null
}

function targetOf(
  message: Message,
  { subscriber, qos, retainAsPublished, identifiers }: Pick<Target<Session>, 'subscriber' | 'qos' | 'retainAsPublished' | 'identifiers'>,
  group: string | null,
): AppendTarget {
  const lower = Math.min(qos, message.qos) as QoS
  return {
    clientId: subscriber.clientId,
    qos: lower,
    retain: retainAsPublished && message.retain,
    identifiers,
    group,
    packetId: 0,
    epoch: 0,
  }
}
