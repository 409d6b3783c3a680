import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { encodingFault } from '../../plugins/message-bridge/kafka-encoding.ts'
import { isSorted, judged, kafkaErrors, verdictOf } from '../../plugins/message-bridge/kafka-errors.ts'

test('every error that kafkajs knows has its place, and one that nobody knows has its own', () => {
  const { errorCodes, createErrorFromCode } = createRequire(import.meta.url)('kafkajs/src/protocol/error') as {
    errorCodes: readonly { readonly type: string; readonly code: number }[]
    createErrorFromCode(code: number): Error
  }
  expect(errorCodes.length).toBeGreaterThan(80)
  expect(errorCodes.filter(({ type }) => !isSorted(type))).toEqual([])
  const verdict = (code: number) => verdictOf(createErrorFromCode(code))
  expect([10, 17, 29, 32, 44, 87].map(verdict)).toEqual(['record', 'topic', 'topic', 'record', 'record', 'record'])
  // 90: PRODUCER_FENCED, which kafkajs does not know; 12345: nobody does.
  expect([90, 97, 12_345].map(verdict)).toEqual(['renew', 'away', 'unknown'])
  expect(judged(createErrorFromCode(19))).toMatchObject({ name: 'TargetAwayError', partly: true })
  expect(judged(Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' }))).toMatchObject({ partly: false })
})

test('a message of which kafkajs can make no record is told from those of which it can', () => {
  const good = { key: 'k', value: Buffer.from('v'), headers: { a: 'b' }, timestamp: '0' }
  expect(encodingFault(good)).toBe(null)
  expect(encodingFault({ ...good, headers: { a: Object as never } })).toBeInstanceOf(TypeError)
})

test('docs/guarantees.md has each of them', () => {
  const page = readFileSync(new URL('../../docs/guarantees.md', import.meta.url), 'utf8')
  const table = page.slice(page.indexOf('### Kafka'))
  expect(Object.keys(kafkaErrors).filter(type => !table.includes(`\`${type}\``))).toEqual([])
})
