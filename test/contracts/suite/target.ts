import assert from 'node:assert/strict'
import { OperatorError } from '../../../core/errors.ts'
import { RecordsRefusedError, TargetAwayError } from '../../../plugins/kit/services/bridge-target.ts'
import type { ContractRunner } from './runner.ts'
import { soon } from './soon.ts'
import { headersOf, TargetHarness, type TargetOwner } from './target-harness.ts'

export type { KeptRecord, TargetFeature, TargetOwner } from './target-harness.ts'

type TargetCase = (title: string, run: (harness: TargetHarness) => Promise<void>) => void

const textOf = ({ value }: { readonly value: Buffer }): string => String(value)

/** The contract of a bridge's target (plugins/kit/services/bridge-target.ts), for the target of any plugin. It runs in real time, against the real system. */
export function targetContract({ describe, it }: ContractRunner, owner: TargetOwner): void {
  const { lacks = [] } = owner
  describe(`a bridge target ${owner.name}${lacks.length === 0 ? '' : `, without ${lacks.join(', ')}`}`, () => {
    const one: TargetCase = (title, run) =>
      it(title, async () => {
        const harness = new TargetHarness(owner)
        try {
          await harness.create()
          await run(harness)
        } finally {
          await harness.dispose()
        }
      })
    recordCases(one, owner)
    laneCases(one)
    nameCases(one)
    if (owner.refusing !== undefined) refusalCases(one)
    if (owner.away !== undefined) outageCases(one)
  })
}

function recordCases(test: TargetCase, { lacks = [] }: TargetOwner): void {
  test('keeps a record as it is, and has it when send resolves', async h => {
    const place = await h.owner.place()
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const entries = [
      ['plain', 'text ü'],
      ['binary', Buffer.from('bytes')],
      ['several', ['a', 'b']],
      // Clients choose the names.
      ['constructor', 'x'],
      ['__proto__', 'y'],
    ] as const
    const sent = h.record(place, { key: 'größe/1', value: everyByte, headers: headersOf(entries) })
    await h.send(h.sender(), [sent])
    const [kept, ...more] = await h.owner.read(place)
    assert.deepEqual([kept?.value.equals(everyByte), more.length], [true, 0])
    if (!lacks.includes('key')) assert.equal(kept!.key, sent.key)
    if (!lacks.includes('timestamp')) assert.equal(kept!.timestamp, sent.timestamp)
    if (lacks.includes('headers')) return
    const texts = entries.flatMap(([name, value]) => [value].flat().map(one => [name, String(one)] as const))
    for (const [name] of entries)
      assert.deepEqual(
        kept!.headers!.filter(([one]) => one === name).map(([, value]) => value),
        texts.filter(([one]) => one === name).map(([, value]) => value),
        `header ${name}`,
      )
  })

  test('keeps the order of what is sent, in one send and over several', async h => {
    const place = await h.owner.place()
    const sender = h.sender()
    const records = h.records(place, 500)
    for (let from = 0; from < records.length; from += 125) await h.send(sender, records.slice(from, from + 125))
    assert.deepEqual((await h.owner.read(place)).map(textOf), records.map(textOf))
  })

  test('takes an empty payload and one of 200 KiB, and what comes behind them', async h => {
    const place = await h.owner.place()
    const values = [Buffer.alloc(0), Buffer.alloc(200 * 1024, 'ü'), Buffer.from('behind')]
    const sender = h.sender()
    await h.send(
      sender,
      values.map(value => h.record(place, { value })),
    )
    const kept = await h.owner.read(place)
    assert.deepEqual(
      kept.map(({ value }, at) => value.equals(values[at]!)),
      [true, true, true],
    )
  })

  test('puts each record of one send where it is to go', async h => {
    const places = [await h.owner.place(), await h.owner.place(), await h.owner.place()]
    const records = Array.from({ length: 60 }, (_, at) => h.record(places[at % 3]!))
    await h.send(h.sender(), records)
    for (const place of places)
      assert.deepEqual((await h.owner.read(place)).map(textOf), records.filter(({ topic }) => topic === place).map(textOf))
  })
}

function laneCases(test: TargetCase): void {
  test('has lanes side by side, each of which keeps its order, and goes on when one is closed', async h => {
    const place = await h.owner.place()
    const lanes = [0, 1, 2].map(lane => ({ sender: h.sender(), records: h.records(place, 100, { key: `lane ${lane}` }) }))
    await Promise.all(
      lanes.map(async ({ sender, records }) => {
        for (let from = 0; from < records.length; from += 20) await h.send(sender, records.slice(from, from + 20))
      }),
    )
    const [first, second] = lanes
    await soon(first!.sender.close(), 'close of a sender')
    const last = h.record(place)
    await h.send(second!.sender, [last])
    const kept = (await h.owner.read(place)).map(textOf)
    assert.equal(kept.length, 301)
    assert.equal(kept.at(-1), textOf(last))
    for (const { records } of lanes) {
      const own = new Set(records.map(textOf))
      assert.deepEqual(
        kept.filter(text => own.has(text)),
        records.map(textOf),
      )
    }
  })

  test('closes a lane from which nothing was sent, and one that is sending, whose send ends then', async h => {
    await soon(h.sender().close(), 'close of a sender')
    const place = await h.owner.place()
    const sender = h.sender()
    const sending = sender.send(h.records(place, 50)).then(
      () => 'taken',
      () => 'not taken',
    )
    await soon(sender.close(), 'close of a sender')
    await soon(sending, 'send')
  })

  test('says in one line that the system can be reached', async h => {
    if (h.target.probe === undefined) return
    const line = await soon(h.target.probe(), 'probe')
    assert.match(line, /^\S.*$/)
    // What was looked at is given back: a lane goes on.
    const place = await h.owner.place()
    await h.send(h.sender(), [h.record(place)])
    assert.equal((await h.owner.read(place)).length, 1)
  })
}

// What a topic name may be, and what may be made of one by a template.
const names = [
  'a',
  'a/b/c',
  'größe/☃',
  '',
  '.',
  '..',
  ' ',
  'a b',
  '$SYS/x',
  '/',
  'A.b_c-1',
  'x\u0001y',
  'x'.repeat(300),
  `x/${'ü'.repeat(32_000)}`,
]

function nameCases(test: TargetCase): void {
  test('makes legal names: one that is made of a name is taken as it is, and of the same name it makes the same', async h => {
    const place = await h.owner.place()
    assert.equal(h.target.legalName(place), place)
    for (const name of names) {
      const legal = h.target.legalName(name)
      const shown = JSON.stringify(name.slice(0, 40))
      assert.ok(legal === null || legal.length > 0, `${shown}: a name has a character at least; null says that there is none`)
      if (legal !== null) assert.equal(h.target.legalName(legal), legal, `the name that it made of ${shown}`)
      assert.equal(h.target.legalName(name), legal, `${shown}, the second time`)
    }
  })

  test('says what it is called and where the system is, for log lines', async h => {
    assert.match(h.target.name, /^[A-Za-z][A-Za-z0-9_-]*$/)
    assert.match(h.target.place, /^\S.*$/)
  })
}

function refusalCases(test: TargetCase): void {
  test('refuses what the system never takes, those records alone, and goes on with the others in their order', async h => {
    const [place, wrong] = [await h.owner.place(), await h.owner.refusing!()]
    const sender = h.sender()
    const records = h.records(place, 9)
    const refused = [h.record(wrong), h.record(wrong)]
    const mixed = [...records.slice(0, 3), refused[0]!, ...records.slice(3, 6), refused[1]!, ...records.slice(6)]
    assert.deepEqual(new Set(await h.deliver(sender, mixed)), new Set(refused))
    const refusals = h.errors.filter(error => error instanceof RecordsRefusedError)
    assert.ok(refusals.length > 0)
    for (const { message, reason } of refusals) {
      assert.match(message, /^\S.*$/)
      assert.match(reason, /^[\w.-]{1,60}$/)
    }
    const after = h.record(place)
    await h.deliver(sender, [after])
    assert.deepEqual(await h.values(place), [...records, after].map(textOf))
  })
}

function outageCases(test: TargetCase): void {
  test('is away where the system is, and takes the very same records when it is back', async h => {
    const place = await h.owner.place()
    const sender = h.sender()
    const before = h.record(place)
    await h.send(sender, [before])
    const back = await h.owner.away!()
    const records = h.records(place, 20)
    try {
      // Nothing is opened by it, so it does not matter that nobody is there.
      const early = h.sender()
      await soon(early.close(), 'close of a sender')
      await assert.rejects(h.send(sender, records), error => {
        assert.ok(error instanceof TargetAwayError, `send rejects with a TargetAwayError, not with ${String(error)}`)
        assert.match(error.message, /^\S.*$/)
        return true
      })
      if (h.target.probe !== undefined)
        await assert.rejects(soon(h.target.probe(), 'probe'), error => {
          assert.ok(error instanceof OperatorError, `probe rejects with an OperatorError, not with ${String(error)}`)
          return true
        })
    } finally {
      await back()
    }
    assert.deepEqual(await h.deliver(sender, records), [])
    assert.deepEqual(await h.values(place), [before, ...records].map(textOf))
  })

  test('loses nothing, and keeps the order, where the system goes away in the midst of it', async h => {
    const place = await h.owner.place()
    const sender = h.sender()
    const records = h.records(place, 2000)
    const leave = async (): Promise<void> => await (await h.owner.away!())()
    let away: Promise<void> | undefined
    for (let from = 0; from < records.length; from += 50) {
      if (from === 500) away = leave()
      assert.deepEqual(await h.deliver(sender, records.slice(from, from + 50)), [])
    }
    await away
    assert.deepEqual(await h.values(place), records.map(textOf))
  })
}
