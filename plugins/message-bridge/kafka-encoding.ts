import { createRequire } from 'node:module'
import type { Message as KafkaMessage } from 'kafkajs'

type EncodeRecord = (record: Omit<KafkaMessage, 'timestamp'> & { readonly timestampDelta: number }) => unknown

// What kafkajs makes of one message of a batch.
const encodeRecord = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/record/v0') as EncodeRecord

/** Why kafkajs can make no record of a message; null where it can. A batch with such a message fails as a whole, and kafkajs does not say which it is. */
export function encodingFault({ key, value, headers }: KafkaMessage): Error | null {
  try {
    encodeRecord({ key: key ?? null, value, headers: headers ?? {}, timestampDelta: 0 })
    return null
  } catch (error) {
    return error as Error
  }
}
