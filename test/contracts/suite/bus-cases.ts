import assert from 'node:assert/strict'
import type { Node } from '../../../plugins/kit/services/bus.ts'
import type { BusCase } from './bus.ts'
import type { TestNode } from './bus-harness.ts'

const announcements = ({ told }: TestNode): string[] => told.filter(one => one.startsWith('announced '))
const received = ({ told }: TestNode): string[] => told.filter(one => one.startsWith('received '))

async function readRows({ bus }: TestNode, node: Node, table: string): Promise<Map<string, string>> {
  const rows = new Map<string, string>()
  for await (const [key, value] of bus.rows(node, table)) rows.set(key, value.toString())
  return rows
}

const nodeNamed = ({ bus }: TestNode, name: string): Node => bus.nodes().find(node => node.name === name)!

/** What nodes say to one another, and what they let one another read. */
export function busCases(one: BusCase): void {
  one('tells every announcement to all nodes, their own too, in one and the same order', async harness => {
    const nodes = await harness.nodes('a', 'b', 'c')
    const each = 40
    await Promise.all(
      nodes.map(async ({ bus }) => {
        for (let i = 0; i < each; i++) {
          // Some together in one turn, some one after another.
          const announced = bus.announce([bus.node, i, 'ü\0"'])
          if (i % 7 === 0) await announced
        }
      }),
    )
    for (const node of nodes) await harness.until(() => announcements(node).length === 3 * each, 'all announcements')
    const [first, ...others] = nodes.map(announcements)
    for (const other of others) assert.deepEqual(other, first)
    for (const name of ['a', 'b', 'c']) {
      const own = first!.filter(text => text.startsWith(`announced ${name} `))
      assert.deepEqual(
        own,
        Array.from({ length: each }, (_, i) => `announced ${name} ${JSON.stringify([name, i, 'ü\0"'])}`),
      )
    }
  })

  one('tells nothing before it runs, and then all that has happened since it was opened', async harness => {
    const early = await harness.node('early', { runs: false })
    const talker = await harness.node('talker')
    await harness.until(() => talker.told.includes('joined early'), 'the talker hears of the other')
    await talker.bus.announce('before')
    await talker.bus.post('early', Buffer.from('posted before'))
    assert.deepEqual(early.told, [])
    await early.bus.run()
    await harness.until(() => announcements(early).length === 1 && received(early).length === 1, 'what has happened')
    assert.deepEqual(announcements(early), ['announced talker "before"'])
    assert.deepEqual(received(early), ['received talker posted before'])
  })

  for (const way of ['tell', 'post'] as const) {
    one(`${way} reaches the one node that it is for, in order, byte for byte`, async harness => {
      const [a, b, c] = (await harness.nodes('a', 'b', 'c')) as [TestNode, TestNode, TestNode]
      const frames = [
        Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
        Buffer.from('x'),
        Buffer.alloc(300_000, 'large'),
        ...Array.from({ length: 50 }, (_, i) => Buffer.from(`frame ${i}`)),
      ]
      for (const frame of frames) {
        if (way === 'tell') a.bus.tell('b', frame)
        else await a.bus.post('b', frame)
      }
      await harness.until(() => b.frames.length === frames.length, 'all frames')
      for (const [i, frame] of frames.entries()) assert.ok(b.frames[i]!.equals(frame), `frame ${i} is what it was`)
      assert.ok(received(b).every(text => text.startsWith('received a ')))
      assert.deepEqual([received(a), received(c)], [[], []])
    })
  }

  one('post and tell to a node that is not there go nowhere, and harm nobody', async harness => {
    const [a] = (await harness.nodes('a', 'b')) as [TestNode]
    a.bus.tell('nobody', Buffer.from('x'))
    await a.bus.post('nobody', Buffer.from('x'))
    await a.bus.announce('still here')
    await harness.until(() => announcements(a).length === 1, 'an announcement')
  })

  one('rows can be read by all nodes as their own node has set them last', async harness => {
    const [a, b] = (await harness.nodes('a', 'b')) as [TestNode, TestNode]
    const count = 2500
    await Promise.all(Array.from({ length: count }, (_, i) => a.bus.setRow('things', `key ${i}`, Buffer.from(`value ${i}`))))
    await a.bus.setRow('things', 'key 7', Buffer.from('another'))
    await a.bus.setRow('things', 'key 8', null)
    await a.bus.setRow('others', 'key 7', Buffer.from('elsewhere'))
    await b.bus.setRow('things', 'key 7', Buffer.from("b's own"))
    const things = await readRows(b, nodeNamed(b, 'a'), 'things')
    assert.equal(things.size, count - 1)
    assert.deepEqual([things.get('key 7'), things.get('key 8'), things.get('key 2499')], ['another', undefined, 'value 2499'])
    assert.deepEqual([...(await readRows(b, nodeNamed(b, 'a'), 'others'))], [['key 7', 'elsewhere']])
    assert.deepEqual([...(await readRows(a, nodeNamed(a, 'b'), 'things'))], [['key 7', "b's own"]])
    assert.deepEqual([...(await readRows(a, nodeNamed(a, 'b'), 'none'))], [])
  })

  one('a row is taken by exactly one of those who try', async harness => {
    const nodes = await harness.nodes('a', 'b', 'c')
    await nodes[0]!.bus.setRow('wills', 'client', Buffer.from('will'))
    const owner = nodeNamed(nodes[1]!, 'a')
    const taken = await Promise.all(
      nodes.flatMap(({ bus }) => [bus.takeRow(owner, 'wills', 'client'), bus.takeRow(owner, 'wills', 'client')]),
    )
    assert.deepEqual(taken.filter(Boolean), [true])
    assert.deepEqual([...(await readRows(nodes[2]!, owner, 'wills'))], [])
  })

  one('all agree on the value that was proposed first', async harness => {
    const nodes = await harness.nodes('a', 'b', 'c')
    const name = 'mqttx:contract:agreed'
    const values = await Promise.all(nodes.map(({ bus }) => bus.agree(name, bus.node)))
    assert.equal(new Set(values).size, 1)
    assert.equal(await nodes[2]!.bus.agree(name, 'another'), values[0])
  })
}
