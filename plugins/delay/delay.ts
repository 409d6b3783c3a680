import { Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { Publisher } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { PublishVerdict } from '../../core/refusals.ts'
import { isTopicName } from '../../core/routing/topic.ts'
import { StoreFullError } from '../../core/sessions/session-store.ts'
import { DelayedMessages } from './delayed-messages.ts'
import { delayManifest } from './manifest.ts'

const prefix = '$delayed/'
const shape = /^\$delayed\/(\d{1,10})\/(.+)$/s

/** Messages for later: `$delayed/60/lights/off` is published to `lights/off` in a minute. */
export const delay = definePlugin(delayManifest, ({ hooks, services, broker, clock, log }, options) => {
  let maxMs = options.max
  const { messagesMax, bytesMax } = options
  const messages = new DelayedMessages(broker, { messagesMax, bytesMax, whenFull: 'dropNewest' })
  const offer = (name: string, type: 'gauge' | 'counter', help: string, sys: string, value: () => number) =>
    broker.figures.add({ name, type, help, read: () => [{ value: value(), sys }] })
  offer('delayed_messages', 'gauge', 'Messages that wait for their time.', 'messages/delayed', () => messages.waiting)
  offer('delayed_bytes', 'gauge', 'Bytes of these.', 'bytes/delayed', () => messages.bytes)
  offer(
    'delayed_published_messages_total',
    'counter',
    'Messages that were published when their time had come.',
    'messages/delayed/published',
    () => messages.published,
  )

  const wrong = (reasonString: string) => ({ reasonCode: ReasonCode.TopicNameInvalid, reasonString })
  const delayed = async (publisher: Publisher, message: Message, ms: number): Promise<PublishVerdict> => {
    const { clientId, username, rights, mountPoint } = publisher
    try {
      await messages.delay({ message, publisher: { clientId, username, rights, mountPoint }, dueAt: clock.now() + ms })
      return 'kept'
    } catch (error) {
      if (!(error instanceof StoreFullError)) throw error
      return { reasonCode: ReasonCode.QuotaExceeded, reasonString: error.message }
    }
  }

  // What is not for it must not wait for a promise, so the answer goes by callback.
  hooks.onPublish.tapAsync({ name: 'delay', stage: Stage.Guard }, (publisher, message, answer) => {
    if (!message.topic.startsWith(prefix)) return answer(null)
    const parts = shape.exec(message.topic)
    if (parts === null) return answer(null, wrong('write $delayed/SECONDS/TOPIC'))
    const ms = Number(parts[1]) * 1000
    const topic = parts[2]!
    if (ms > maxMs) return answer(null, wrong(`a message may be delayed by ${Math.floor(maxMs / 1000)} s at most`))
    if (!isTopicName(topic) || topic.startsWith(prefix)) return answer(null, wrong('what stands behind the seconds is no topic name'))
    message.topic = topic
    // Who may not publish there is told at once; what counts is looked at again when its time has come.
    const fault = broker.publishFault(publisher, message)
    if (fault !== undefined) return answer(null, fault)
    delayed(publisher, message, ms).then(
      verdict => answer(null, verdict),
      error => answer(error),
    )
  })

  return {
    start() {
      const queues = services.find('queue')
      if (queues === undefined)
        log.warn('delay: messages are held back in memory only, and are lost with the broker; add the section diskQueue')
      messages.start(queues?.open('delay', bytesMax) ?? null)
    },
    reload(changed) {
      maxMs = changed.max
      messages.limits.messagesMax = changed.messagesMax
    },
    stop: () => messages.stop(),
  }
})
