import { describe, expect, it } from 'vitest'
import type { Message } from '../../core/messages/message.ts'
import { decodeMessage, decodeWill, encodeMessage, encodeWill, StoredFormatError } from '../../plugins/kit/stored-message.ts'
import { messageOf } from '../core/messages.ts'

const fieldsOf = ({ topic, payload, qos, retain, properties, origin, clientId, username, receivedAt }: Message) => {
  return { topic, payload, qos, retain, properties, origin, clientId, username, receivedAt }
}

const everyProperty = {
  payloadFormat: 1,
  messageExpiry: 4_000_000_000,
  contentType: 'text/plain',
  responseTopic: 'answers/ä',
  correlationData: Buffer.from([0, 1, 255]),
  userProperties: [
    ['a', '1'],
    ['a', '2'],
    ['', ''],
  ] as [string, string][],
}

describe('the form in which stores and nodes hand messages on', () => {
  const messages = {
    'an ordinary one': messageOf('21.5', { topic: 'a/b', qos: 1, receivedAt: 1_700_000_000_123 }),
    'an empty payload': messageOf('', { qos: 0 }),
    'binary payload': messageOf(Buffer.from([0, 255, 1, 254]), { qos: 2, retain: true }),
    'text beyond ASCII': messageOf('é', { topic: 'räume/🌡', clientId: 'gerät-1' }),
    'every property': messageOf('x', { properties: everyProperty }),
    'of the broker itself': messageOf('x', { origin: 'server', clientId: '' }),
    'of a peer': messageOf('x', { origin: 'peer' }),
    'of a user': messageOf('x', { username: 'ännchen', properties: everyProperty }),
    'of a user whose name is longer than MQTT knows': messageOf('x', { username: 'u'.repeat(70_000) }),
    'of a user whose name is empty': messageOf('x', { username: '' }),
    'of a client without a user name': messageOf('x', { username: null, origin: 'will', qos: 2, retain: true }),
  }
  for (const [name, message] of Object.entries(messages)) {
    it(`gives back ${name}`, () => {
      expect(fieldsOf(decodeMessage(encodeMessage(message)))).toEqual(fieldsOf(message))
    })
  }

  it('gives back a will with its delay and rights', () => {
    const message = messageOf('gone', { origin: 'will', retain: true })
    for (const rights of [null, { authorizedPub: ['a/#'], authorizedSub: [] }]) {
      const will = decodeWill(encodeWill({ message, delayMs: 4_294_967_295_000, username: 'ann', rights }))
      expect({ ...will, message: fieldsOf(will.message) }).toEqual({
        message: fieldsOf(message),
        delayMs: 4_294_967_295_000,
        username: 'ann',
        rights,
      })
    }
  })

  it('reads format 1, which knew no users', () => {
    const message = messageOf('x', { origin: 'peer', qos: 2, retain: true, properties: everyProperty })
    const stored = encodeMessage(message)
    stored[0] = 1
    expect(fieldsOf(decodeMessage(stored))).toEqual(fieldsOf(message))
    stored[1]! |= 1 << 5
    expect(() => decodeMessage(stored)).toThrow(StoredFormatError)
  })

  it('keeps no byte of the read buffer', () => {
    const bytes = Buffer.from('payload')
    const stored = encodeMessage(messageOf(bytes))
    bytes.fill(0)
    expect(decodeMessage(stored).payload.toString()).toBe('payload')
  })

  it('refuses a format that it does not know', () => {
    const stored = encodeMessage(messageOf('x'))
    stored[0] = 9
    expect(() => decodeMessage(stored)).toThrow(StoredFormatError)
    expect(() => decodeWill(stored)).toThrow(StoredFormatError)
    expect(() => decodeMessage(Buffer.alloc(0))).toThrow(StoredFormatError)
  })

  it('refuses bytes that end too early instead of reading beyond them', () => {
    const stored = encodeMessage(messageOf('', { topic: 'topic', username: 'user', properties: everyProperty }))
    for (let length = 1; length < stored.length; length++) expect(() => decodeMessage(stored.subarray(0, length))).toThrow()
  })
})
