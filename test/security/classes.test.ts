import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { definePlugin } from '../../presets/index.ts'
import { settled, startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { attacksOnOthers } from './attacks-on-others.ts'
import { attacksOnProtocol } from './attacks-on-protocol.ts'
import { problemClasses } from './classes.ts'
import { unproven } from './shown.ts'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

// That the tests which are named there run, pass and assert something, each run of their files looks at: see shown.ts.
describe('each class of security problem that other brokers had', () => {
  const docs = read('../../docs/security.md')

  test.each(problemClasses)('$problem', ({ problem, seenIn, shownBy }) => {
    expect(shownBy.length).toBeGreaterThan(0)
    for (const [file] of shownBy) {
      expect(file).toMatch(/\.test\.ts$/)
      expect(existsSync(new URL(`../${file}`, import.meta.url)), file).toBe(true)
    }
    expect(docs).toContain(`| ${problem} | ${seenIn} |`)
  })

  test('is shown by attacks that are carried out and have an outcome', () => {
    for (const { name, happens, run } of [
      ...attacksOnProtocol,
      ...attacksOnOthers(
        [],
        async () => [],
        () => '',
      ),
    ]) {
      expect(happens, name).toBeTruthy()
      expect(String(run).length, name).toBeGreaterThan(80)
    }
  })
})

test('a named test that is missing, skipped or has failed is unproven; one of several that are named alike is enough for that', () => {
  const names = ['keeps %i away', "a thief's"]
  const passed = (name: string) => ({ name, hasPassed: true })
  expect(unproven(names, [passed('keeps 1 away'), passed('keeps 2 away'), passed('a thief’s key')])).toEqual([])
  expect(unproven(names, [passed('keeps 1 away'), { name: 'keeps 2 away', hasPassed: false }])).toEqual(names)
})

test.each([true, false])(
  'what comes behind a CONNECT waits until that is admitted, and is forgotten where it is refused: %s',
  async admitted => {
    let decide!: () => void
    const decided = new Promise<void>(resolve => {
      decide = resolve
    })
    const slow = definePlugin({
      name: 'slow',
      apply({ hooks }) {
        hooks.onAuthenticate.tapPromise('slow', async ({ clientId }) => {
          if (clientId === 'eager') await decided
          return admitted || clientId !== 'eager' ? true : { reasonCode: ReasonCode.NotAuthorized }
        })
      },
    })
    const { open, connect } = await startBroker({ plugins: [slow()] })
    const reader = await connect({ version: 5 })
    await reader.subscribe('t', 1)
    const eager = open(5)
    eager.send(connectPacket({ version: 5, clientId: 'eager' }))
    eager.sendPublish('t', 'too early', { qos: 1 })
    await settled()
    expect(await reader.payloads()).toEqual([])
    decide()
    if (admitted) {
      await eager.next(PacketType.Puback)
      expect(String((await reader.receive()).payload)).toBe('too early')
    } else {
      await eager.closed
      expect(eager.heard.map(({ type }) => type)).toEqual([PacketType.Connack])
      expect(await reader.payloads()).toEqual([])
    }
  },
)
