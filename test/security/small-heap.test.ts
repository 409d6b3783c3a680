import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { publishBytes } from '../support/client.ts'
import { Target } from './target.ts'

// Goal: what is kept to spare time does not end a process whose heap is small. Method: a broker with a heap of 120 MB, and a client with a thousand
// filters that match each of 24,000 topics, to which another one publishes; each such route keeps 24 KB.

const built = beforeAllBuilt()
const levels = 10

test('24,000 topics, each matched by 1,000 filters of one session, fill no heap of 120 MB: the caches are bounded by what they keep', async () => {
  const folder = await folderWith()
  const config = { socket: { port: 0 }, log: { format: 'json' }, allowAnonymous: true, mqtt: { subscriptionsMax: 1000 } }
  writeFileSync(join(folder, 'mqttx.config.json'), JSON.stringify(config))
  const target = new Target(built.path('presets/bin.js'), folder, ['--max-old-space-size=120'])
  onTestFinished(() => target.kill())
  await target.ready()
  const reader = (await target.connect({ clientId: 'reader' })).client
  const filters = Array.from(
    { length: 1000 },
    (_, i) => `a/${Array.from({ length: levels }, (_, bit) => ((i >> bit) & 1 ? '+' : 'x')).join('/')}/+`,
  )
  const codes = await reader.subscribe(filters, 0, { properties: { subscriptionIdentifiers: [7] } })
  expect(codes.every(code => code === 0)).toBe(true)
  // It would be sent a copy with a thousand identifiers each time; without its connection the routes are made all the same.
  const writer = (await target.connect({ clientId: 'writer' })).client
  const topic = `a/${'x/'.repeat(levels)}`
  for (let batch = 0; batch < 240; batch++) {
    const packets = Array.from({ length: 100 }, (_, i) => publishBytes(`${topic}${batch * 100 + i}`, '', { version: 5 }))
    writer.stream.write(Buffer.concat(packets))
    writer.send({ type: PacketType.Pingreq })
    await writer.next(PacketType.Pingresp)
    reader.heard.length = 0
  }
  expect(target.runs).toBe(true)
  expect(await target.stop()).toBe(0)
}, 180_000)
