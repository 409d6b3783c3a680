import assert from 'node:assert/strict'
import type { BusCase } from './bus.ts'
import type { BusOwner, TestNode } from './bus-harness.ts'

const announcements = ({ told }: TestNode): string[] => told.filter(one => one.startsWith('announced '))
const countOf = ({ told }: TestNode, what: string): number => told.filter(one => one === what).length

/** What a bus does in trouble: nodes that have enough to do, a connection that was away, a node that was taken for dead. */
export function troubleCases(one: BusCase, { cut, forget, inboxBytes }: BusOwner): void {
  one('hands over nothing more of what was posted while a node has enough to do, and goes on with what is announced', async harness => {
    const [a, b] = (await harness.nodes('a', 'b')) as [TestNode, TestNode]
    let goOn = (): void => {}
    b.onReceived = () =>
      new Promise(resolve => {
        b.onReceived = () => {}
        goOn = resolve
      })
    for (let i = 0; i < 20; i++) await a.bus.post('b', Buffer.from(String(i)))
    await a.bus.announce('meanwhile')
    await harness.until(() => b.frames.length > 0 && announcements(b).length > 0, 'the first frame, and an announcement')
    assert.equal(b.frames.length, 1)
    goOn()
    await harness.until(() => b.frames.length === 20, 'the others')
    assert.deepEqual(
      b.frames.map(String),
      Array.from({ length: 20 }, (_, i) => String(i)),
    )
  })

  if (inboxBytes !== undefined)
    one(
      'refuses what is posted to a node whose inbox is full, loses nothing of what it took, and takes more when there is room',
      async harness => {
        const [a, b] = (await harness.nodes('a', 'b')) as [TestNode, TestNode]
        let goOn = (): void => {}
        b.onReceived = () =>
          new Promise(resolve => {
            b.onReceived = () => {}
            goOn = resolve
          })
        const taken: number[] = []
        let refused: unknown = null
        for (let i = 0; i < 40 && refused === null; i++) {
          const frame = Buffer.alloc(Math.ceil(inboxBytes / 10))
          frame.writeUInt32BE(i)
          await a.bus.post('b', frame).then(
            () => taken.push(i),
            error => (refused = error),
          )
        }
        assert.ok(refused instanceof Error, 'a post is refused in the end')
        assert.ok(taken.length > 0)
        // Others are not held up.
        await b.bus.post('a', Buffer.from('the other way'))
        await harness.until(() => a.frames.length === 1, 'what is posted the other way')
        goOn()
        await harness.until(() => b.frames.length === taken.length, 'what was taken')
        assert.deepEqual(
          b.frames.map(frame => frame.readUInt32BE()),
          taken,
        )
        await harness.until(
          () =>
            a.bus.post('b', Buffer.alloc(4)).then(
              () => true,
              () => false,
            ),
          'room again',
        )
        await harness.until(() => b.frames.length === taken.length + 1, 'what was posted then')
      },
    )

  if (cut === undefined) return

  one('a connection that was away for a moment has missed nothing, and its node is told that it was away', async harness => {
    const [a, b] = (await harness.nodes('a', 'b')) as [TestNode, TestNode]
    await a.bus.announce('before')
    await harness.until(() => announcements(b).length === 1, 'what was announced before')
    const interruptedBefore = countOf(b, 'interrupted')
    const plugIn = await harness.cut(b)
    const done = [a.bus.announce('meanwhile'), a.bus.post('b', Buffer.from('posted meanwhile')), b.bus.announce('of the one that is away')]
    await plugIn()
    await Promise.all(done)
    await harness.until(() => countOf(b, 'interrupted') > interruptedBefore, 'interrupted')
    await harness.until(() => b.bus.connected && b.frames.length === 1, 'what was posted meanwhile')
    for (const node of [a, b]) await harness.until(() => announcements(node).length === 3, 'all announcements')
    assert.deepEqual(announcements(b), announcements(a))
    assert.deepEqual([countOf(b, 'expelled'), countOf(a, 'left b'), countOf(b, 'left a')], [0, 0, 0])
  })

  one(
    'a node that was taken for dead is told so and joins again: its tables are empty, and it reads those of the others anew',
    async harness => {
      const [a, b] = (await harness.nodes('a', 'b')) as [TestNode, TestNode]
      await b.bus.setRow('things', 'key', Buffer.from('of its first life'))
      const plugIn = await harness.cut(b)
      await harness.until(() => a.told.includes('left b'), 'that it counts as dead')
      await a.bus.announce('meanwhile')
      await plugIn()
      await harness.until(() => b.told.includes('expelled') && b.told.includes('missed'), 'expelled, and missed')
      assert.equal(countOf(b, 'expelled'), 1)
      assert.ok(b.told.indexOf('expelled') < b.told.lastIndexOf('missed'), 'missed comes behind expelled')
      await harness.until(() => countOf(a, 'joined b') === 2, 'that it has joined again')
      const again = () => a.bus.nodes().find(({ name }) => name === 'b')!
      const rows: string[] = []
      for await (const [key] of a.bus.rows(again(), 'things')) rows.push(key)
      assert.equal(rows.length, 0)
      // And it is a node like any other.
      await harness.until(() => b.bus.connected && b.bus.nodes().length === 2, 'that it knows the other')
      await b.bus.setRow('things', 'key', Buffer.from('of its second life'))
      for await (const [, value] of a.bus.rows(again(), 'things')) rows.push(String(value))
      assert.deepEqual(rows, ['of its second life'])
      await a.bus.post('b', Buffer.from('to its second life'))
      await harness.until(() => b.told.includes('received a to its second life'), 'what is posted')
      await b.bus.announce('here again')
      for (const node of [a, b]) await harness.until(() => announcements(node).includes('announced b "here again"'), 'what it announces')
      assert.ok(!a.told.includes('expelled'))
    },
  )

  if (forget === undefined) return
  one('a node that can never hear what was announced while it was away is told that it missed something', async harness => {
    const [a, b] = (await harness.nodes('a', 'b')) as [TestNode, TestNode]
    const plugIn = await harness.cut(b)
    await a.bus.announce('lost for b')
    await harness.forget(b)
    await plugIn()
    await harness.until(() => b.told.includes('missed'), 'missed')
    await a.bus.announce('afterwards')
    await harness.until(() => announcements(b).includes('announced a "afterwards"'), 'what is announced afterwards')
    assert.ok(!announcements(b).includes('announced a "lost for b"'))
  })
}
