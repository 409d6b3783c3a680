import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { typed } from '../admin/typed.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()

test('a running broker is asked and steered from its folder, and its config looked at before it counts', async () => {
  const config = { preset: 'standalone', socket: { port: 0 }, checkConfigEvery: null, mqtt: { queueMessagesMax: 1000 } }
  const folder = await folderWith({ 'mqttx.config.json': JSON.stringify(config) })
  const program = built.path('presets/bin.js')
  // Where no service manager gives a folder.
  const env = { RUNTIME_DIRECTORY: '' }
  const broker = new Command(program, folder, [], env)
  onTestFinished(() => broker.signal('SIGKILL'))
  await broker.ready()
  expect((await readdir(join(folder, 'data'))).filter(name => name.endsWith('.sock') && name.startsWith('admin-'))).toEqual([
    `admin-${broker.pid}.sock`,
  ])

  // The program itself.
  const status = new Command(program, folder, ['status', '--json'], env)
  expect(await status.ended()).toBe(0)
  expect(JSON.parse(status.out[0]!)).toMatchObject({ well: true, store: 'disk' })

  const type = (line: string) => typed(line, { folder })
  await writeFile(join(folder, 'next.json'), JSON.stringify({ ...config, heartbeat: '5s', mqtt: { queueMessagesMax: 500 } }))
  expect((await type('config diff next.json')).text).toMatch(/taken +mqtt\.queueMessagesMax\nlater +heartbeat/)
  expect((await type('config changes')).text).toBe('nothing')
  await writeFile(join(folder, 'mqttx.config.json'), JSON.stringify({ ...config, mqtt: { queueMessagesMax: 500 } }))
  expect((await type('reload')).text).toMatch(/taken +mqtt\.queueMessagesMax/)
  await writeFile(join(folder, 'mqttx.config.json'), '{ "heartbeat": "soon" }')
  const wrong = await type('reload')
  expect([wrong.code, wrong.text]).toEqual([3, expect.stringContaining('heartbeat')])
  expect([(await type('status')).code, (await type('alarms')).text]).toEqual([0, expect.stringContaining('configRefused')])
  expect((await type('config changes --json')).json).toMatchObject({
    rows: [{ taken: ['mqtt.queueMessagesMax'] }, { failed: expect.stringContaining('heartbeat') }],
  })
  expect((await type('log-level debug --for 10m')).text).toMatch(/level +debug\nbefore +info/)
  expect((await type('end-session nobody')).text).toMatch(/connections +0/)

  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  expect((await type('status')).code).toBe(1)
})
