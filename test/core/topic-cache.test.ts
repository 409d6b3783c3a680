import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readTopicName, TopicCache } from '../../core/protocol/topic-cache.ts'
import { ReasonCode } from '../../core/reason.ts'

/** As a decoder reads: what is too long is not remembered. */
const read = (cache: TopicCache, bytes: Buffer, start: number, end: number): string =>
  cache.find(bytes, start, end)?.topic ?? readTopicName(bytes, start, end)

/** The topic, or the reason why there is none. */
function outcome(read: () => string): unknown {
  try {
    return read()
  } catch (error) {
    return (error as { reasonCode: number }).reasonCode
  }
}

test('reads what reading without a cache would read, whatever the bytes and however often', () => {
  const cache = new TopicCache()
  const bytes = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).map(text => Buffer.from(text)),
    fc.uint8Array({ minLength: 1, maxLength: 20 }).map(array => Buffer.from(array)),
    fc.constantFrom('a', 'a/b', 'a/c', '$SYS/x', 'é', 'x'.repeat(256), 'x'.repeat(257), 'x'.repeat(60_000)).map(text => Buffer.from(text)),
  )
  fc.assert(
    fc.property(bytes, fc.nat(3), (topic, before) => {
      const chunk = Buffer.concat([Buffer.alloc(before, 'z'), topic, Buffer.from('behind')])
      const end = before + topic.length
      const expected = outcome(() => readTopicName(chunk, before, end))
      // Decoded, decoded once more and remembered by its bytes, recognized by these.
      for (let time = 0; time < 3; time++) expect(outcome(() => read(cache, chunk, before, end))).toEqual(expected)
    }),
    { numRuns: 1000 },
  )
})

test('remembers a topic, not the chunk it came in, which is overwritten', () => {
  const cache = new TopicCache()
  const chunk = Buffer.from('some/topic')
  expect(read(cache, chunk, 0, chunk.length)).toBe('some/topic')
  chunk.write('other/name')
  expect(read(cache, chunk, 0, chunk.length)).toBe('other/name')
  expect(read(cache, Buffer.from('some/topic'), 0, 10)).toBe('some/topic')
})

test('takes one topic for no other, where many more than it has places come by', () => {
  const cache = new TopicCache()
  let wrong = 0
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 100_000; i++) {
      const bytes = Buffer.from(`t/${i}`)
      if (read(cache, bytes, 0, bytes.length) !== `t/${i}`) wrong += 1
    }
  }
  expect(wrong).toBe(0)
})

test.each(['a/+', '#', '+'])('refuses the wildcards of "%s" each time [MQTT-3.3.2-2] [MQTT3-3.3.2-2]', topic => {
  const cache = new TopicCache()
  const bytes = Buffer.from(topic)
  for (let time = 0; time < 2; time++) expect(outcome(() => read(cache, bytes, 0, bytes.length))).toBe(ReasonCode.TopicNameInvalid)
})

test('keeps no more alive than the bytes of its topics', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const before = process.memoryUsage().arrayBuffers
  const cache = new TopicCache()
  for (let i = 0; i < 4000; i++) {
    const bytes = Buffer.from(`t/${i}`)
    read(cache, bytes, 0, bytes.length)
    // What others take from Node's pool meanwhile, and let go.
    for (let other = 0; other < 4; other++) Buffer.from('x'.repeat(2000))
  }
  collect()
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(15_000_000)
  expect(read(cache, Buffer.from('t/1'), 0, 3)).toBe('t/1')
})
