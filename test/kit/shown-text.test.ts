import { expect, test } from 'vitest'
import { cutText } from '../../core/cut-text.ts'
import { shownLine, shownText } from '../../plugins/kit/shown-text.ts'
import { startBroker } from '../support/broker.ts'

test('a text of a client is cut to 256 characters, and says how many there are', () => {
  expect(shownText('x'.repeat(256))).toBe('x'.repeat(256))
  expect(shownText('x'.repeat(65_000))).toBe(`${'x'.repeat(256)}… (65000 characters)`)
  // Not in the middle of a letter.
  expect(shownText(`${'x'.repeat(255)}𝄞𝄞`)).toBe(`${'x'.repeat(255)}… (259 characters)`)
})

test('one rule cuts: what was cut for a line of its own is not cut again when the line is written', () => {
  const cut = cutText('x'.repeat(65_000))
  expect(shownText(cut)).toBe(cut)
  expect(shownText(cutText(`${'\x9b'.repeat(300)}`))).toBe(`${'\\u009b'.repeat(256)}… (300 characters)`)
  // A client that ends its text so gains a few characters and no more.
  expect(cutText(`${'x'.repeat(1000)}… (7 characters)`).length).toBeLessThan(290)
})

test.each([
  ['C0 controls', '\x1b[2J\r\n\0', '\\u001b[2J\\u000d\\u000a\\u0000'],
  ['C1 controls', '\x9b2J\x85', '\\u009b2J\\u0085'],
  ['marks of direction', 'a\u202egpj.exe\u2066\u200f', 'a\\u202egpj.exe\\u2066\\u200f'],
  ['line separators', '\u2028\u2029', '\\u2028\\u2029'],
])('%s are escaped', (_what, text, shown) => {
  expect(shownText(text)).toBe(shown)
})

test('letters of any script are left alone', () => {
  const text = 'größe ☃ 𝄞 שלום مرحبا 温度'
  expect(shownText(text)).toBe(text)
})

test('each text of a line is shown so, in lists and within fields too; bytes and errors are left to whoever writes them', () => {
  const err = new Error('x'.repeat(1000))
  const bytes = Buffer.from('\x9b')
  const fields = { clientId: 'x'.repeat(1000), filters: ['\x9b'], packet: { topic: '\u202e', payload: bytes }, count: 1, err }
  expect(shownLine([fields, `about ${'\x9b'}`])).toEqual([
    { clientId: shownText('x'.repeat(1000)), filters: ['\\u009b'], packet: { topic: '\\u202e', payload: bytes }, count: 1, err },
    'about \\u009b',
  ])
  expect(shownLine([err, 'x'])).toEqual([err, 'x'])
})

test('what a client is told quotes no more of its own text than fits a packet', async () => {
  const { connect, broker } = await startBroker()
  const client = await connect({ version: 5 })
  const filter = `${'x'.repeat(65_000)}#`
  await client.subscribe(filter).catch(() => {})
  expect(await client.ended()).toMatchObject({ reasonCode: 0x81 })
  expect(broker.clients.size).toBe(0)
})
