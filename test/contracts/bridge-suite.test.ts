import { expect, test } from 'vitest'
import { OperatorError } from '../../core/errors.ts'
import {
  type BridgeRecord,
  type BridgeSender,
  type BridgeTarget,
  RecordsRefusedError,
  TargetAwayError,
} from '../../plugins/kit/services/bridge-target.ts'
import { Verdict } from '../support/suite-verdict.ts'
import { type KeptRecord, targetContract } from './suite/index.ts'

// Goal: the suite of targets tells a broken one. Each is a target whose system is in memory, with one thing wrong, and the test that is about that thing must fail.

let isAway = false
let places = 0
const kept = new Map<string, KeptRecord[]>()

class MemoryTarget implements BridgeTarget {
  readonly name = 'memory'
  readonly place = 'this process'

  legalName(text: string): string | null {
    return text === '' ? null : text.replaceAll('/', '.')
  }

  async probe(): Promise<string> {
    if (isAway) throw new OperatorError('ERR_CONFIG', 'it is away')
    return 'it answers'
  }

  createSender(): BridgeSender {
    return { send: records => this.send(records), close: async () => {} }
  }

  async send(records: readonly BridgeRecord[]): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
    if (isAway) throw new TargetAwayError('it is away; bring it back')
    const refused = records.flatMap(({ topic }, index) => (topic === 'refusing' ? [index] : []))
    if (refused.length > 0) throw this.refusal(refused)
    this.keep(records)
  }

  refusal(indexes: readonly number[]): Error {
    return new RecordsRefusedError(indexes, 'it takes none')
  }

  keep(records: readonly BridgeRecord[]): void {
    for (const { topic, key, value, timestamp, headers } of records) {
      const texts = Object.entries(headers).flatMap(([name, given]) => [given].flat().map(one => [name, String(one)] as const))
      kept.set(topic, [...(kept.get(topic) ?? []), { key, value, timestamp, headers: texts }])
    }
  }
}

async function failing(Target: typeof MemoryTarget, only?: string): Promise<string[]> {
  const verdict = new Verdict()
  targetContract(verdict, {
    name: 'in memory',
    create: () => new Target(),
    place: () => `place-${places++}`,
    refusing: () => 'refusing',
    read: async place => kept.get(place) ?? [],
    async away() {
      isAway = true
      return async () => void (isAway = false)
    },
  })
  return verdict.failing(only)
}

test('has nothing against a target that is right', async () => {
  expect(await failing(MemoryTarget)).toEqual([])
})

const asItIs = 'keeps a record as it is, and has it when send resolves'
const inOrder = 'keeps the order of what is sent, in one send and over several'
const refusals = 'refuses what the system never takes, those records alone, and goes on with the others in their order'
const outage = 'is away where the system is, and takes the very same records when it is back'

const wrong: [string, typeof MemoryTarget, string][] = [
  [
    'says that it has what it has yet to keep',
    class extends MemoryTarget {
      override keep(records: readonly BridgeRecord[]): void {
        setTimeout(() => super.keep(records), 20)
      }
    },
    asItIs,
  ],
  [
    'copies headers into an object of the usual kind',
    class extends MemoryTarget {
      override keep(records: readonly BridgeRecord[]): void {
        const copied = (record: BridgeRecord): BridgeRecord => {
          const headers: Record<string, BridgeRecord['headers'][string]> = {}
          for (const name of Object.keys(record.headers)) headers[name] = record.headers[name]!
          return { ...record, headers }
        }
        super.keep(records.map(copied))
      }
    },
    asItIs,
  ],
  [
    'makes text of payloads',
    class extends MemoryTarget {
      override keep(records: readonly BridgeRecord[]): void {
        super.keep(records.map(record => ({ ...record, value: Buffer.from(String(record.value)) })))
      }
    },
    asItIs,
  ],
  [
    'sends the last first',
    class extends MemoryTarget {
      override keep(records: readonly BridgeRecord[]): void {
        super.keep(records.toReversed())
      }
    },
    inOrder,
  ],
  [
    'blames the record beside the one that is to blame',
    class extends MemoryTarget {
      override refusal(indexes: readonly number[]): Error {
        return super.refusal(indexes.map(index => Math.max(0, index - 1)))
      }
    },
    refusals,
  ],
  [
    'does not say that it is a refusal',
    class extends MemoryTarget {
      override refusal(): Error {
        return new Error('it takes none')
      }
    },
    refusals,
  ],
  [
    'does not say that the system is away',
    class extends MemoryTarget {
      override async send(records: readonly BridgeRecord[]): Promise<void> {
        if (isAway) throw new Error('connect ECONNREFUSED')
        await super.send(records)
      }
    },
    outage,
  ],
  [
    'takes what it cannot send, and forgets it',
    class extends MemoryTarget {
      override async send(records: readonly BridgeRecord[]): Promise<void> {
        if (!isAway) await super.send(records)
      }
    },
    outage,
  ],
  [
    'makes another name of a name that it has made',
    class extends MemoryTarget {
      override legalName(text: string): string | null {
        return `mqtt.${text}`
      }
    },
    'makes legal names: one that is made of a name is taken as it is, and of the same name it makes the same',
  ],
]

test.each(wrong)('tells a target that %s', async (_what, Target, title) => {
  expect(await failing(Target, title)).toEqual([title])
})
