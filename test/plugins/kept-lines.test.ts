import { expect, test } from 'vitest'
import { KeptLines, mergeLines } from '../../plugins/log/kept-lines.ts'

const line = (n: number, level = 30, more = {}): string => JSON.stringify({ level, time: n, ...more, msg: `line ${n}` })
const given = { level: 'trace', match: null, limit: 50, after: null } as const

test('the last thousand lines are kept, of half a MiB at most, and read from the last or from where somebody left off', () => {
  const kept = new KeptLines()
  for (let n = 0; n < 1500; n++) kept.add(line(n, n % 2 === 0 ? 30 : 40, { clientId: `c${n}` }))
  const last = kept.answer('one', { ...given, limit: 2 })
  expect(last.rows).toEqual([
    { at: 1498, node: 'one', level: 'info', text: 'line 1498', fields: { clientId: 'c1498' } },
    { at: 1499, node: 'one', level: 'warn', text: 'line 1499', fields: { clientId: 'c1499' } },
  ])
  expect(kept.answer('one', { ...given, after: last.cursor }).rows).toEqual([])
  for (let n = 1500; n < 1503; n++) kept.add(line(n))
  const next = kept.answer('one', { ...given, limit: 2, after: last.cursor })
  expect(next.rows.map(({ at }) => at)).toEqual([1500, 1501])
  expect(kept.answer('one', { ...given, after: next.cursor }).rows.map(({ at }) => at)).toEqual([1502])
  // Of those that went meanwhile nothing is said.
  const early = kept.answer('one', { ...given, after: Buffer.from('{"one":0}').toString('base64url') })
  expect(early.rows[0]!.at).toBe(503)
  expect(kept.answer('one', { ...given, level: 'warn', limit: 200 }).rows.every(({ level }) => level === 'warn')).toBe(true)
  expect(kept.answer('one', { ...given, match: 'C1499' }).rows.map(({ at }) => at)).toEqual([1499])
  kept.add(line(9999, 30, { text: 'x'.repeat(600_000) }))
  expect(kept.answer('one', { ...given, limit: 200 }).rows.map(({ at }) => at)).toEqual([9999])
})

test('a cursor of a node that was started anew, or of nobody, begins from what is kept', () => {
  const kept = new KeptLines()
  kept.add(line(1))
  for (const after of [Buffer.from('{"one":700}').toString('base64url'), 'e30', 'nonsense', Buffer.from('[1]').toString('base64url')])
    expect(kept.answer('one', { ...given, after }).rows.length).toBe(1)
})

test('the lines of several nodes stand in the order of their times, and each node goes on from its own place', () => {
  const [one, two] = [new KeptLines(), new KeptLines()]
  for (const n of [1, 4]) one.add(line(n))
  for (const n of [2, 3]) two.add(line(n))
  const ask = (after: string | null) =>
    mergeLines(
      [
        { node: 'one', answer: one.answer('one', { ...given, after }) },
        { node: 'two', answer: two.answer('two', { ...given, after }) },
      ],
      [],
    )
  const first = ask(null)
  expect(first.rows.map(({ at, node }) => [at, node])).toEqual([
    [1, 'one'],
    [2, 'two'],
    [3, 'two'],
    [4, 'one'],
  ])
  two.add(line(5))
  expect(ask(first.cursor).rows.map(({ at }) => at)).toEqual([5])
})
