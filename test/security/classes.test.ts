import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { definePlugin } from '../../presets/index.ts'
import { settled, startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { problemClasses } from './classes.ts'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

describe('each class of security problem that other brokers had', () => {
  const docs = read('../../docs/security.md')

  test.each(problemClasses)('$problem', ({ problem, seenIn, shownBy }) => {
    for (const [file, name] of shownBy) {
      // A quotation mark or a tag of the standard may stand in a name; what is compared is what it says.
      expect(read(`../${file}`).replaceAll('’', "'"), `${file} has no test that says: ${name}`).toContain(name)
    }
    expect(docs).toContain(`| ${problem} | ${seenIn} |`)
  })
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
