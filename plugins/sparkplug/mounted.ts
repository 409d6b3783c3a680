import { type Hooks, Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import { parseShare } from '../../core/routing/topic.ts'
import { certificates } from './topics.ts'

/**
 * Clients with a mount point, as plugin `mountpoint` gives them: their births are kept below `$sparkplug/certificates/`, their mount point behind it, and each finds those of its own part of the
 * topic tree at the name that the specification says. There they match no filter that begins with a wildcard, as the client expects of a topic that begins with $ [MQTT-4.7.2-1].
 */
export class Mounted {
  readonly #births = new WeakSet<Message>()
  // Who has none pays nothing for those who have one.
  #isUsed = false

  constructor(hooks: Hooks) {
    const tap = { name: 'sparkplug', stage: Stage.Default }
    hooks.onSessionOpened.tap(tap, ({ client }) => {
      if (this.#isUsed || client === null || client.mountPoint === '') return
      this.#isUsed = true
      this.#tapDeliveries(hooks)
    })
    // Behind what puts the mount point before the filter.
    hooks.onSubscribe.tap(tap, ({ mountPoint }, subscription) => {
      if (mountPoint === '') return undefined
      const share = parseShare(subscription.filter)
      const filter = share?.filter ?? subscription.filter
      if (!filter.startsWith(mountPoint + certificates)) return undefined
      const moved = certificates + mountPoint + filter.slice(mountPoint.length + certificates.length)
      subscription.filter = share === null ? moved : `$share/${share.group}/${moved}`
      return undefined
    })
  }

  /** What a publisher calls a topic name. */
  ownName(topic: string, mountPoint = ''): string {
    return mountPoint !== '' && topic.startsWith(mountPoint) ? topic.slice(mountPoint.length) : topic
  }

  /** The message is a birth by the name that its publisher has given. */
  note(message: Message): void {
    this.#births.add(message)
  }

  isBirth(message: Message): boolean {
    return this.#isUsed && this.#births.has(message)
  }

  // Before what takes the mount point from the topic name.
  #tapDeliveries(hooks: Hooks): void {
    hooks.onDeliver.tap({ name: 'sparkplug', stage: Stage.Guard }, ({ mountPoint }, delivery) => {
      if (mountPoint === '' || !delivery.topic.startsWith(certificates + mountPoint)) return undefined
      delivery.topic = mountPoint + certificates + delivery.topic.slice(certificates.length + mountPoint.length)
      return undefined
    })
  }
}
