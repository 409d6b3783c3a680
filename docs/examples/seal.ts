// Seals what a user gets with the user's own key, AES-256-GCM, as each delivery leaves: the publisher publishes once, in the clear, and what
// waits in a session or is written to a disk is as it was published. A repeat is sealed again, so nobody gets the message
// in the clear by not acknowledging it. Whoever has no key gets nothing of what is sealed.
import { createCipheriv, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { definePlugin, isTopicFilter, matches, OperatorError, Stage } from 'mqttx-broker'

/** Seals deliveries with the key of the subscriber's user. The payload is nonce (12 bytes), tag (16) and ciphertext; the topic name is authenticated too. */
export const seal = definePlugin({
  name: 'seal',
  options: {
    /** A file with a line `USER KEY` for each user; a key is 32 bytes in base64. It is read again on SIGHUP. */
    keys: { type: 'string', required: true },
    /** Topic filters of what is sealed. */
    filters: { type: 'list', items: { type: 'string' }, default: ['#'] },
  },
  apply({ hooks }, { keys: path, filters }) {
    let keys = new Map<string, Buffer>()

    // Last of those who change a delivery: what is sealed nobody can rewrite.
    hooks.onDeliver.tap({ name: 'seal', stage: Stage.Record }, ({ username }, delivery) => {
      const { topic, payload, properties } = delivery
      if (!filters.some(filter => matches(filter, delivery.message.topic))) return undefined
      const key = keys.get(username ?? '')
      if (key === undefined) return false
      // A nonce must never be used twice with one key: each sending, a repeat too, has its own.
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(topic))
      const text = Buffer.concat([cipher.update(payload), cipher.final()])
      delivery.payload = Buffer.concat([nonce, cipher.getAuthTag(), text])
      // What the payload said of itself is true no more.
      const { payloadFormat: _format, contentType: _type, ...others } = properties ?? {}
      delivery.properties = { ...others, userProperties: [...(others.userProperties ?? []), ['sealed', 'A256GCM']] }
      return undefined
    })

    const read = (): void => void (keys = readKeys(path))
    return {
      verify() {
        read()
        const wrong = filters.filter(filter => !isTopicFilter(filter))
        if (wrong.length > 0) throw new OperatorError('ERR_CONFIG', `seal.filters: ${wrong.join(', ')}: no topic filters; correct them`)
      },
      reread: read,
    }
  },
})

function readKeys(path: string): Map<string, Buffer> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new OperatorError('ERR_CONFIG', `seal.keys: ${path} cannot be read (${(cause as Error).message}); make it, or correct the path`, {
      cause,
    })
  }
  const keys = new Map<string, Buffer>()
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const [user, base64 = '', ...more] = line.trim().split(/\s+/)
    const key = Buffer.from(base64, 'base64')
    // The line itself is not shown: it may hold a key.
    if (key.length !== 32 || more.length > 0)
      throw new OperatorError(
        'ERR_CONFIG',
        `seal.keys: line ${i + 1} of ${path} is not USER KEY with a key of 32 bytes in base64; correct it`,
      )
    keys.set(user!, key)
  }
  return keys
}
