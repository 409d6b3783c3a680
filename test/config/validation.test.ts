import { expect, test } from 'vitest'
import type { PluginManifest } from '../../core/manifest.ts'
import { defineOptions, type OptionsSchema } from '../../core/options/options.ts'
import { settingsSchema } from '../../core/options/settings.ts'
import { maskText, showValue } from '../../plugins/kit/options/describe.ts'
import { checkOptions, validateOptions } from '../../plugins/kit/options/validation.ts'
import { catalogue } from '../../presets/index.ts'

const found = (schema: OptionsSchema, given: unknown) =>
  validateOptions(schema, given, 'own').problems.map(problem => `${problem.path}: ${problem.text}`)

test('bounds durations, by default to what a timer can wait', () => {
  const schema = defineOptions({ wait: { type: 'duration' }, keep: { type: 'duration', minimum: '1s', maximum: '1h' } })
  expect(checkOptions(schema, { wait: '20d', keep: '1h' }, 'own')).toEqual({ wait: 1_728_000_000, keep: 3_600_000 })
  expect(found(schema, { wait: '30d', keep: 5 })).toEqual([
    `own.wait: must be a duration: '60s', '500ms', '1m', '2h', '1d' or a number of milliseconds, got "30d"`,
    `own.keep: must be a duration: '60s', '500ms', '1m', '2h', '1d' or a number of milliseconds from 1s to 1h, got 5`,
  ])
})

test('fills in defaults at every depth, and reads those of durations too', () => {
  const schema = defineOptions({
    outer: {
      type: 'object',
      properties: {
        inner: { type: 'object', properties: { wait: { type: 'duration', default: '1s' } } },
        flag: { type: 'boolean', default: true },
      },
    },
    many: { type: 'list', items: { type: 'object', properties: { size: { type: 'bytes', default: '1KiB' } } }, default: [] },
  })
  expect(checkOptions(schema, { many: [{}] }, 'own')).toEqual({ outer: { inner: { wait: 1000 }, flag: true }, many: [{ size: 1024 }] })
  expect(checkOptions(schema, {}, 'own')).toEqual({ outer: { inner: { wait: 1000 }, flag: true }, many: [] })
})

test('takes null only where null is a value', () => {
  const schema = defineOptions({
    a: { type: 'duration', nullable: true },
    b: { type: 'integer', default: null },
    c: { type: 'string' },
    d: { type: 'string', enum: ['x'], nullable: true },
  })
  expect(checkOptions(schema, { a: null, d: null }, 'own')).toEqual({ a: null, b: null, d: null })
  expect(found(schema, { c: null, b: 'x' })).toEqual(['own.b: must be an integer, or null, got "x"', 'own.c: must be a string, got null'])
})

test('says of several forms what all of them are, and of a broken object what is broken in it', () => {
  const schema = defineOptions({
    tls: { oneOf: [{ type: 'boolean' }, { type: 'object', properties: { port: { type: 'integer' } } }] },
    id: { oneOf: [{ type: 'integer' }, { type: 'string' }] },
  })
  expect(found(schema, { tls: 'yes', id: true })).toEqual([
    'own.tls: must be true or false or an object { port }, got "yes"',
    'own.id: must be an integer or a string, got true',
  ])
  expect(found(schema, { tls: { prot: 1 } })).toEqual(['own.tls.prot: unknown; did you mean port?'])
  expect(found(schema, { tls: { port: 'x' } })).toEqual(['own.tls.port: must be an integer, got "x"'])
})

test('passes functions and instances through untouched', () => {
  const schema = defineOptions({ decide: { type: 'any' }, when: { type: 'any' } })
  const given = { decide: () => true, when: new Date(0) }
  expect(checkOptions(schema, given, 'own')).toEqual(given)
  expect(Object.isFrozen(given)).toBe(false)
})

test('checks the keys of records by their values only', () => {
  const schema = defineOptions({ users: { type: 'object', values: { type: 'string' }, default: {} } })
  expect(checkOptions(schema, { users: { anna: 'a', 'b/c': 'd' } }, 'own')).toEqual({ users: { anna: 'a', 'b/c': 'd' } })
  expect(found(schema, { users: { 'b/c': 5 } })).toEqual(['own.users.b/c: must be a string, got 5'])
})

test('masks secrets, by name, by declaration and within addresses', () => {
  const schema = defineOptions({
    password: { type: 'string', minLength: 99 },
    pin: { type: 'string', minLength: 99, secret: true },
    url: { type: 'integer' },
  })
  expect(found(schema, { password: 'hunter2', pin: '1234', url: 'redis://me:hunter2@cache' })).toEqual([
    'own.password: must be a text that is not empty, got ***',
    'own.pin: must be a text that is not empty, got ***',
    'own.url: must be an integer, got "redis://***@cache"',
  ])
})

test.each([
  ['redis://me:hun/ter2@cache:6379', 'redis://***@cache:6379'],
  ['redis://:hunter2@hunter2@cache', 'redis://***@cache'],
  ['rediss://me:hun ter2#?@[::1]:6379/3', 'rediss://***@[::1]:6379/3'],
  ['redis://:hun\nter2@cache', 'redis://***@cache'],
  ['me:hunter2@cache', '***@cache'],
  ['redis://cache:6379', 'redis://cache:6379'],
])('masks %s from the scheme to the last @', (url, shown) => {
  expect(maskText(url, 'url')).toBe(shown)
  expect(showValue({ redis: { url } })).toBe(JSON.stringify({ redis: { url: shown } }))
})

test.each([
  ['me:hunter2@cache:6379', '***@cache:6379'],
  [':hun@ter2@cache', '***@cache'],
  ['https://example.com/a@b', 'https://***@b'],
  ['%u-#', '%u-#'],
  ['a@b', 'a@b'],
  ['cache:6379', 'cache:6379'],
])('masks %s, whatever the option is called', (text, shown) => {
  expect(maskText(text, 'nodes')).toBe(shown)
  expect(showValue([text])).toBe(JSON.stringify([shown]))
})

test('shows nothing of an option that is a secret, whatever it was given, nor of a list or an object that should have held one', () => {
  const schema = defineOptions({
    pin: { type: 'string', secret: true },
    token: { type: 'string' },
    headers: { type: 'object', values: { type: 'string', secret: true }, secret: true },
    peers: { type: 'list', items: { type: 'object', properties: { pin: { type: 'string', secret: true } } } },
    tls: { type: 'object', properties: { keyPassphrase: { type: 'string' } } },
  })
  const said = found(schema, { pin: 1234, token: [1234], headers: ['1234'], peers: { x: 1234 }, tls: [{ keyPassphrase: '1234' }] })
  expect(said).toHaveLength(5)
  for (const text of [...said, ...found(schema, [{ pin: 1234 }])]) {
    expect(text).toMatch(/got (\*\*\*|a list|an object)$/)
    expect(text).not.toContain('1234')
  }
})

test('says that options must be an object', () => {
  expect(found({}, 5)).toEqual(['own: must be an object of options, got 5'])
})

test('has the defaults that are promised', () => {
  expect(checkOptions(settingsSchema, {}, '')).toEqual({
    brokerId: 1,
    checkConfigEvery: 5000,
    requireAuthentication: false,
    heartbeat: 60_000,
    host: '0.0.0.0',
    soBacklog: 512,
    tcpKeepAlive: 300_000,
    enableTestMode: false,
    workers: 1,
    mqtt: {
      maximumPacketSize: 2_097_152,
      receiveMaximum: 1000,
      inflightMax: 1000,
      queueMessagesMax: 100_000,
      queueBytesMax: 67_108_864,
      queueFull: 'dropNewest',
      queueQoS0: false,
      topicAliasMaximum: 32,
      topicAliasOutMax: 32,
      topicLevelsMax: 128,
      topicLengthMax: 65_535,
      connectSizeMax: 131_072,
      userPropertiesMax: 1000,
      subscriptionsMax: 10_000,
      sharedSubscriptionsMax: 1000,
      clientIdOwner: null,
      clientIds: [],
      sessionExpiryMax: null,
      serverKeepAlive: null,
      writeBufferMax: 1_048_576,
      slowReader: 'drop',
      receiptTimeout: 30_000,
      verdictTimeout: 5000,
      deniedPublish: 'ack',
      validatePayloadFormat: false,
      responseInformation: null,
      maximumQoS: 2,
      emptyClientIds: true,
      assignedIdPrefix: 'auto-',
      clientIdFrom: 'connect',
      overTopicMax: 'refuse',
      bridgeStates: false,
      tellUnmatched: 'always',
      tellFaults: 'all',
      reasonStrings: true,
    },
  })
})

test('what nobody sets is the same as its default, said: for the options of all built-in plugins and the broker’s own', () => {
  const schemas: [string, OptionsSchema][] = [['', settingsSchema]]
  for (const [name, { manifest }] of Object.entries(catalogue.plugins)) schemas.push([name, (manifest as PluginManifest).options ?? {}])
  expect(schemas.length).toBeGreaterThan(20)
  for (const [name, schema] of schemas) {
    const said = Object.fromEntries(
      Object.entries(schema).flatMap(([key, option]) => (option.default === undefined ? [] : [[key, option.default]])),
    )
    const required = Object.fromEntries(Object.entries(schema).flatMap(([key, option]) => (option.required === true ? [[key, 'x']] : [])))
    expect([name, validateOptions(schema, { ...required }, name)]).toEqual([name, validateOptions(schema, { ...required, ...said }, name)])
  }
})
