import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { randomFrom } from '../fault/faults.ts'
import { Arena, faultsIn, oversizedIn } from './arena.ts'
import { readCorpus } from './corpus.ts'
import { Maker } from './make.ts'
import { brokers, parseScript, scriptText } from './script.ts'

// `npm run fuzz` does the same for as long as it is given, and keeps what it finds.

describe('a client, or three of them, that says whatever it likes', () => {
  const arenas: Record<string, Arena> = {}
  beforeAll(async () => {
    for (const name of brokers) arenas[name] = await Arena.open(name)
  })
  afterAll(async () => {
    for (const arena of Object.values(arenas)) await arena.close()
  })

  test('harms nobody but itself: every script of the corpus', async () => {
    const corpus = readCorpus()
    expect(corpus.length).toBeGreaterThan(50)
    for (const script of corpus) expect((await arenas[script.broker]!.run(script)).faults, scriptText(script)).toEqual([])
  })

  test('harms nobody but itself: scripts made of those', async () => {
    const corpus = readCorpus()
    const maker = new Maker(randomFrom(20_261_128))
    for (let i = 0; i < 400; i++) {
      const script = maker.script(corpus)
      const { faults } = await arenas[script.broker]!.run(script)
      expect(faults, scriptText(script)).toEqual([])
    }
  })
})

test('a script is the same in its file', () => {
  const maker = new Maker(randomFrom(1))
  for (let i = 0; i < 50; i++) {
    const text = scriptText(maker.script([]))
    expect(scriptText(parseScript(text))).toBe(text)
  }
})

const connect = Buffer.from('100c00044d5154540402000000 00'.replaceAll(' ', ''), 'hex')

describe('what the broker says is judged:', () => {
  test.each([
    ['a CONNACK', '20020000', []],
    ['what is no packet', '20020000ff', [/is no MQTT 4/]],
    ['half a packet', '200200', [/broke off in the middle/]],
    ['something before the CONNACK', 'd000', [/is of type 13/]],
    ['an acknowledgement of what nobody sent', '2002000040020007', [/an answer of type 4 to 7/]],
  ])('%s', (_what, said, faults) => {
    const found = faultsIn({ sent: [connect], heard: [Buffer.from(said, 'hex')], dropped: false, held: false })
    expect(found).toHaveLength(faults.length)
    for (const [i, fault] of faults.entries()) expect(found[i]).toMatch(fault)
  })
})

test('a CONNECT that is longer than the broker takes and is let in all the same is a fault; one that is refused is none', () => {
  const long = Buffer.concat([Buffer.from('10ff0f', 'hex'), connect.subarray(2, 12), Buffer.from('07f3', 'hex'), Buffer.alloc(0x07f3, 'x')])
  const spoken = (said: string) => ({ sent: [long], heard: [Buffer.from(said, 'hex')], dropped: false, held: false })
  expect(oversizedIn(spoken('20020000'), 1024)).toEqual([expect.stringMatching(/was let in/)])
  expect(oversizedIn(spoken('20020003'), 1024)).toEqual([])
  expect(oversizedIn(spoken('20020000'), 4096)).toEqual([])
})
