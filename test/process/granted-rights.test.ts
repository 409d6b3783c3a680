import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Target } from '../security/target.ts'
import { startAuthServer } from '../support/auth-server.ts'

const built = beforeAllBuilt()

test('authHttp alone holds each client to what the service grants it, and a bystander is served meanwhile', async () => {
  const { url } = await startAuthServer((response, { text }) => {
    const { username } = JSON.parse(text) as { username: string }
    response.writeHead(200)
    response.end(JSON.stringify({ authorizedSub: [`${username}/#`], authorizedPub: [`${username}/#`] }))
  })
  const folder = await folderWith({
    'mqttx.config.json': JSON.stringify({ log: { format: 'json' }, socket: { port: 0 }, authHttp: { url } }),
  })
  const target = new Target(built.path('presets/bin.js'), folder)
  try {
    await target.ready()
    const bystander = (await target.connect({ username: 'bystander' })).client
    await bystander.subscribe('bystander/#', 1)
    for (const version of [5, 4] as const) {
      const { client } = await target.connect({ version, username: 'mine' })
      expect(await client.subscribe(['mine/x', '#', 'bystander/x'])).toEqual(version === 5 ? [0, 0x87, 0x87] : [0, 0x80, 0x80])
      await client.publish('bystander/x', 'intruder', { qos: 1 })
      client.sendPublish('mine/x', 'own', { qos: 1 })
      expect((await client.receive()).payload.toString()).toBe('own')
    }
    bystander.sendPublish('bystander/x', 'own', { qos: 1 })
    expect((await bystander.receive()).payload.toString()).toBe('own')
    expect(await bystander.payloads()).toEqual([])
  } finally {
    target.kill()
  }
})
