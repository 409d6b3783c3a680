import { expect, expectTypeOf, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Settings } from '../../core/settings.ts'

const Stage = { Guard: -200 } as const

/** Refuses a client's publishes once it has used up its budget for this second. */
export const rateLimit = definePlugin({
  name: 'rateLimit',
  options: {
    /** Messages one client may publish per second. */
    perSecond: { type: 'integer', minimum: 1, default: 100 },
  },
  apply({ hooks }, { perSecond }) {
    const spent = new Map<string, number>()
    let refill: NodeJS.Timeout

    hooks.onPublish.tap({ name: 'rateLimit', stage: Stage.Guard }, publisher => {
      const count = (spent.get(publisher.clientId) ?? 0) + 1
      spent.set(publisher.clientId, count)
      return count > perSecond ? ReasonCode.QuotaExceeded : undefined
    })

    return {
      start: () => {
        refill = setInterval(() => spent.clear(), 1000)
      },
      stop: () => clearInterval(refill),
    }
  },
})

test('infers the types of options from their declaration', () => {
  definePlugin({
    name: 'typed',
    options: {
      count: { type: 'integer', default: 1 },
      colour: { type: 'string', enum: ['red', 'blue'], default: 'red' },
      wait: { type: 'duration', default: null },
      url: { type: 'string', required: true },
      extra: { type: 'string' },
      peers: { type: 'list', items: { type: 'string' }, default: [] },
      nested: { type: 'object', properties: { deep: { type: 'boolean', default: false } } },
      id: { oneOf: [{ type: 'integer' }, { type: 'string' }], default: 1 },
    },
    apply(_context, options) {
      expectTypeOf(options).toEqualTypeOf<{
        readonly count: number
        readonly colour: 'red' | 'blue'
        readonly wait: number | null
        readonly url: string
        readonly extra?: string
        readonly peers: readonly string[]
        readonly nested: { readonly deep: boolean }
        readonly id: number | string
      }>()
    },
  })
  expectTypeOf<Settings['mqtt']['sessionExpiryMax']>().toEqualTypeOf<number | null>()
  expectTypeOf<Settings['mqtt']['slowReader']>().toEqualTypeOf<'drop' | 'disconnect' | 'slowPublishers'>()
  expectTypeOf<Settings['allowAnonymous']>().toEqualTypeOf<boolean | undefined>()
  expectTypeOf(rateLimit).toBeCallableWith({ perSecond: 50 })
  expectTypeOf(rateLimit).toBeCallableWith()
  // @ts-expect-error an option that does not exist
  rateLimit({ perMinute: 50 })
  expect(rateLimit.name).toBe('rateLimit')
})
