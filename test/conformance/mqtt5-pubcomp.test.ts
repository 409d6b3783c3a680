import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { startBroker } from '../support/broker.ts'

test.each([4, 5] as const)(
  'ends a client of level %s that says PUBCOMP where PUBREC is due, and sends the message again',
  async version => {
    const { connect } = await startBroker()
    const kept = {
      version,
      clientId: 'reader',
      cleanStart: false,
      ...(version === 5 ? { properties: { sessionExpiry: 100 } } : {}),
    } as const
    const reader = await connect(kept)
    await reader.subscribe('a', 2)
    const writer = await connect()
    await writer.publish('a', 'x', { qos: 2 })
    const { packetId } = await reader.message()
    reader.ack(PacketType.Pubcomp, packetId)
    const said = await reader.ended()
    if (version === 5) expect(said).toMatchObject({ reasonCode: 0x82 })
    const again = await connect(kept)
    expect(await again.receive()).toMatchObject({ packetId, dup: true })
  },
)
