import fc from 'fast-check'
import kafkajs, { type PartitionerArgs } from 'kafkajs'
import { expect, test } from 'vitest'
import { createKeyPartitioner } from '../../plugins/message-bridge/kafka-partitioner.ts'

const argumentsFor = (key: string, partitions: number): PartitionerArgs => ({
  topic: 't',
  partitionMetadata: Array.from({ length: partitions }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 1,
    replicas: [1],
    isr: [1],
  })),
  message: { key, value: null },
})

test('a key goes to the partition that kafkajs, and so the Java client, gives it', () => {
  const [ours, theirs] = [createKeyPartitioner(), kafkajs.Partitioners.DefaultPartitioner()]
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 50 }), (key, partitions) => {
      const given = argumentsFor(key, partitions)
      expect(ours(given)).toBe(theirs(given))
      // Remembered now.
      expect(ours(given)).toBe(theirs(given))
    }),
    { numRuns: 2000 },
  )
})

test('a partition that is named is taken', () => {
  const given = argumentsFor('k', 9)
  given.message.partition = 7
  expect(createKeyPartitioner()(given)).toBe(7)
})
