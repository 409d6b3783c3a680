import { expect, expectTypeOf, test } from 'vitest'
import type { Settings } from '../../core/options/settings.ts'
import { definePlugin } from '../../core/plugin.ts'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import { rateLimit } from './rate-limit.ts'

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

test('applies a plugin with checked options, and refuses wrong ones', () => {
  let seen: unknown
  const own = definePlugin({
    name: 'own',
    options: { wait: { type: 'duration', default: '2s' }, list: { type: 'list', items: { type: 'bytes' }, default: [] } },
    apply(_context, options) {
      seen = options
    },
  })
  own({ list: ['1KiB', 5] }).apply(context)
  expect(seen).toEqual({ wait: 2000, list: [1024, 5] })
  expect(Object.isFrozen((seen as { list: unknown }).list)).toBe(true)
  // @ts-expect-error the option does not exist: that is the point
  expect(() => own({ wiat: 1 }).apply(context)).toThrow('own.wiat: unknown; did you mean wait?')
  expect(() => own({ list: ['1 parsec'] }).apply(context)).toThrow(/^own\.list\[0\]: must be a size: '2MiB'.*, got "1 parsec"$/)
})

test('carries its manifest', () => {
  const own = definePlugin({ name: 'own', options: { a: { type: 'any' } }, provides: ['bus'], requires: ['sessions'], apply() {} })
  expect(own.manifest).toMatchObject({ options: { a: { type: 'any' } }, provides: ['bus'], requires: ['sessions'] })
  expect(own.name).toBe('own')
  expect(own()).toMatchObject({ name: 'own', provides: ['bus'], requires: ['sessions'] })
})

test('asks for required options by type and at run time', () => {
  const own = definePlugin({ name: 'own', options: { url: { type: 'string', required: true } }, apply() {} })
  // @ts-expect-error url is required
  expect(() => own().apply(context)).toThrow('own.url: required; it is a string')
})

const context = { checkOptions } as Parameters<ReturnType<typeof rateLimit>['apply']>[0]
