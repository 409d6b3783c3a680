// Posts messages to a URL and loses none, as the built-in `webhooks` does with more to choose: each is in a queue on disk before its
// publisher gets the acknowledgement, and leaves the queue
// when the URL has answered 2xx. While the URL cannot be reached the queue grows, up to `bytesMax`; then publishers wait. A message that the
// URL refuses for good is dropped by name. What was answered 2xx may come once more after a kill: `x-mqtt-position` tells a repeat.
import {
  type DurableQueue,
  decodeMessage,
  definePlugin,
  encodeMessage,
  isTopicFilter,
  type Message,
  matches,
  OperatorError,
  Stage,
  type Timer,
} from 'mqttx-broker'

declare module 'mqttx-broker' {
  interface DropCounts {
    webhookRefused: number
    webhookFull: number
  }
}

// Answers by which a server says that it, and not the message, is the trouble.
const notTheMessage = new Set([401, 403, 404, 408, 425, 429])

/** Posts messages to a URL, by a queue on disk (plugin `diskQueue`). */
export const webhook = definePlugin({
  name: 'webhook',
  requires: ['queue'],
  dropReasons: ['webhookRefused', 'webhookFull'],
  options: {
    /** Where messages go, one POST each, in order: the payload is the body. */
    url: { type: 'string', required: true, pattern: '^https?://' },
    /** Topic filters of the messages that go there. */
    filters: { type: 'list', items: { type: 'string' }, default: ['#'] },
    /** How much may wait. Beyond it a QoS 1 or 2 message is not acknowledged, and one of QoS 0 is dropped. */
    bytesMax: { type: 'bytes', default: '1GiB' },
    /** How long one answer may take. */
    timeout: { type: 'duration', default: '10s' },
    /** The longest pause between two tries; the first is a tenth of a second, each further one twice as long. */
    retryMax: { type: 'duration', default: '30s' },
  },
  apply({ hooks, services, broker, clock, log, report }, { url, filters, bytesMax, timeout, retryMax }) {
    let queue: DurableQueue
    let sending: Promise<void> | null = null
    let retry: Timer | undefined
    let failed = 0
    const stopping = new AbortController()

    hooks.onRoute.tap({ name: 'webhook', stage: Stage.Record }, (message, _route, receipt) => {
      // A message of another node was put into that node's queue.
      if (message.origin === 'peer' || !filters.some(filter => matches(filter, message.topic))) return
      const release = message.qos > 0 ? receipt.hold('webhook') : undefined
      try {
        queue.append(encodeMessage(message))
        queue.kept().then(
          () => release?.(),
          (error: Error) => release?.(error),
        )
      } catch (error) {
        // No room: whoever waits for an acknowledgement sends again, and whoever does not has lost it.
        if (release === undefined) broker.drop(message.clientId, message, 'webhookFull')
        else release(error as Error)
      }
      wake()
    })

    /** Sends what waits, unless that is under way, or a pause is. */
    function wake(): void {
      if (sending !== null || retry !== undefined || stopping.signal.aborted) return
      sending = send()
        .catch(report)
        .finally(() => {
          sending = null
        })
    }

    async function send(): Promise<void> {
      await queue.kept()
      // A message goes out of the queue only when it is through, so a page begins anew where the last one ended.
      for (let rows = queue.page(0, 100, 1 << 20); rows.length > 0; rows = queue.page(0, 100, 1 << 20)) {
        for (const { position, row } of rows) {
          const message = decodeMessage(row)
          const trouble = await post(position, message)
          if (stopping.signal.aborted) return
          if (trouble !== null) return pause(trouble)
          queue.remove(position, row.length)
        }
        // A page shows what is on the disk.
        await queue.kept()
      }
    }

    /** Null: it is through, or refused for good. Else why it has to be tried again. */
    async function post(position: number, message: Message): Promise<string | null> {
      const headers = {
        'content-type': 'application/octet-stream',
        'x-mqtt-topic': encodeURIComponent(message.topic),
        'x-mqtt-position': String(position),
      }
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(timeout)])
      try {
        const response = await fetch(url, { method: 'POST', headers, body: new Uint8Array(message.payload), signal, redirect: 'error' })
        await response.body?.cancel()
        const { status, ok } = response
        if (ok) failed = 0
        else if (status < 400 || status >= 500 || notTheMessage.has(status)) return `it answers ${status}`
        else broker.drop(message.clientId, message, 'webhookRefused')
        return null
      } catch (error) {
        return `nothing answers (${((error as Error).cause as Error | undefined)?.message ?? (error as Error).message})`
      }
    }

    function pause(trouble: string): void {
      const ms = Math.min(100 * 2 ** failed, retryMax)
      if (failed === 0) log.warn(`webhook.url: ${trouble} at ${url}; ${queue.length} messages wait on the disk until it takes them`)
      failed += 1
      retry = clock.after(ms, () => {
        retry = undefined
        wake()
      })
    }

    return {
      verify() {
        const wrong = filters.filter(filter => !isTopicFilter(filter) || filter.startsWith('$share/'))
        if (wrong.length > 0) throw new OperatorError('ERR_CONFIG', `webhook.filters: ${wrong.join(', ')}: no topic filters; correct them`)
      },
      start() {
        queue = services.get('queue').open('webhook', bytesMax)
        wake()
      },
      async stop() {
        retry?.cancel()
        stopping.abort()
        await sending
      },
    }
  },
})
