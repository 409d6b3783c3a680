import assert from 'node:assert/strict'
import type { BusCase } from './bus.ts'
import type { TestNode } from './bus-harness.ts'

const namesOf = ({ bus }: TestNode): string[] =>
  bus
    .nodes()
    .map(({ name }) => name)
    .sort()

/** How nodes come and go. */
export function membershipCases(one: BusCase): void {
  one('nodes know one another, themselves too, and what each says of itself', async harness => {
    const a = await harness.node('a', { facts: { connections: 3 } })
    const b = await harness.node('b', { facts: { connections: 5, version: 'x' } })
    for (const node of [a, b]) {
      await harness.until(() => namesOf(node).join() === 'a,b', 'both are there')
      const facts = () => Object.fromEntries(node.bus.nodes().map(({ name, facts: said }) => [name, said]))
      await harness.until(() => facts().a?.connections === 3 && facts().b?.version === 'x', 'what they say')
      assert.equal(node.bus.connected, true)
    }
    assert.deepEqual(
      [a.told.filter(text => text.startsWith('joined')), b.told.filter(text => text.startsWith('joined'))],
      [['joined b'], ['joined a']],
    )
    assert.equal(new Set(a.bus.nodes().map(({ boot }) => boot)).size, 2)
  })

  one('a living name is not given a second time', async harness => {
    const [a] = (await harness.nodes('a', 'b')) as [TestNode]
    await assert.rejects(harness.node('a'), { code: 'ERR_NODE_TWICE' })
    assert.deepEqual(namesOf(a), ['a', 'b'])
    assert.ok(!a.told.includes('expelled'))
  })

  one('a node that leaves is gone for all, behind everything that it has announced', async harness => {
    const [a, b, c] = (await harness.nodes('a', 'b', 'c')) as [TestNode, TestNode, TestNode]
    await c.bus.announce('last words')
    await harness.stop(c)
    for (const node of [a, b]) {
      await harness.until(() => node.told.includes('left c'), 'that it has left')
      assert.notEqual(node.deaths.get('c'), true, 'it has left in good order')
      assert.ok(node.told.indexOf('announced c "last words"') < node.told.indexOf('left c'))
      assert.ok(node.told.includes('announced c "last words"'))
      await harness.until(() => namesOf(node).join() === 'a,b', 'that it is on no list')
    }
  })

  one('a node that dies is gone for all, and exactly one inherits what it has left', async harness => {
    const [a, b, c] = (await harness.nodes('a', 'b', 'c')) as [TestNode, TestNode, TestNode]
    await c.bus.setRow('wills', 'client', Buffer.from('will'))
    const found: string[] = []
    for (const node of [a, b]) {
      node.onInherited = async dead => {
        for await (const [key, value] of node.bus.rows(dead, 'wills')) {
          if (await node.bus.takeRow(dead, 'wills', key)) found.push(`${key} ${value}`)
        }
      }
    }
    await harness.crash(c)
    for (const node of [a, b]) {
      await harness.until(() => node.told.includes('left c'), 'that it has gone')
      assert.notEqual(node.deaths.get('c'), false, 'it has died')
    }
    const heirs = () => [a, b].filter(({ told }) => told.includes('inherited c'))
    await harness.until(() => heirs().length === 1 && found.length === 1, 'an heir')
    assert.deepEqual(found, ['client will'])
    const [heir] = heirs() as [TestNode]
    assert.ok(heir.told.indexOf('left c') < heir.told.indexOf('inherited c'))
    for (const node of [a, b]) await harness.until(() => namesOf(node).join() === 'a,b', 'that it is on no list')
    assert.equal(heirs().length, 1)
    assert.ok(![a, b].some(({ told }) => told.includes('expelled')))
  })

  one('a node that comes again under its name is another one, and what it left before is gone', async harness => {
    const [a, b] = (await harness.nodes('a', 'b')) as [TestNode, TestNode]
    await b.bus.setRow('things', 'key', Buffer.from('of its first life'))
    const before = a.bus.nodes().find(({ name }) => name === 'b')!.boot
    await harness.crash(b)
    const again = await harness.node('b')
    const boot = () => a.bus.nodes().find(({ name }) => name === 'b')?.boot
    await harness.until(() => boot() !== undefined && boot() !== before, 'its second life')
    assert.deepEqual(
      a.told.filter(text => / b$/.test(text) && !text.startsWith('inherited')),
      ['joined b', 'left b', 'joined b'],
    )
    const rows: string[] = []
    for await (const [key] of a.bus.rows(a.bus.nodes().find(({ name }) => name === 'b')!, 'things')) rows.push(key)
    assert.deepEqual(rows, [])
    await a.bus.post('b', Buffer.from('to its second life'))
    await harness.until(() => again.told.includes('received a to its second life'), 'what was posted')
  })
}
