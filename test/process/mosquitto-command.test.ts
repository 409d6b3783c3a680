import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { commandLine } from '../config/command-line.ts'
import { folderWith } from '../config/folder.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/redis.ts'
import { socketClient } from '../support/socket-client.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()

test('--mosquitto -c runs a file, logs to standard error, reads it again at SIGHUP, and ends with 0', async () => {
  const port = await freePort()
  const folder = await folderWith({
    'my.conf': `listener ${port} 127.0.0.1\nallow_anonymous true\nacl_file acl\npid_file /run/x.pid\n`,
    acl: 'topic read #\n',
  })
  const broker = new Command(built.path('presets/bin.js'), folder, ['--mosquitto', '-c', 'my.conf'])
  await eventually(() => broker.errors.some(line => line.includes('ready: mqttx-broker')))
  expect(broker.out).toEqual([])
  expect(broker.errors).toContainEqual(expect.stringMatching(/WARN: my\.conf:4: pid_file \/run\/x\.pid: /))

  const client = await socketClient(port)
  await client.connect({ clientId: 'a' })
  expect(await client.publish('a', 'x', { qos: 1 })).toMatchObject({ reasonCode: 0x87 })
  await writeFile(join(folder, 'acl'), 'topic readwrite #\n')
  broker.signal('SIGHUP')
  await eventually(async () => (await client.publish('a', 'x', { qos: 1 }))?.reasonCode !== 0x87)
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
})

test('a log file is one that logrotate can move away', async () => {
  const port = await freePort()
  const folder = await folderWith()
  const log = join(folder, 'm.log')
  await writeFile(join(folder, 'my.conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\nlog_dest file ${log}\n`)
  const broker = new Command(built.path('presets/bin.js'), folder, ['--mosquitto', '-c', 'my.conf'])
  const said = (file: string) => readFile(file, 'utf8').catch(() => '')
  await eventually(async () => (await said(log)).includes('ready: mqttx-broker'))
  await rename(log, `${log}.1`)
  broker.signal('SIGHUP')
  await eventually(() => existsSync(log))
  const client = await socketClient(port)
  await client.connect({ clientId: 'somebody' })
  await eventually(async () => (await said(log)).includes('somebody'))
  expect(await said(`${log}.1`)).not.toContain('somebody')
  expect([...broker.out, ...broker.errors]).toEqual([])
})

describe('--mosquitto ends with what mosquitto ends with', () => {
  async function run(files: Record<string, string>, ...args: string[]) {
    return commandLine(await folderWith(files), ['--mosquitto', ...args])
  }

  test('3 for a file that is not there, or is wrong, and says where', async () => {
    expect(await run({}, '-c', 'nope.conf')).toMatchObject({
      code: 3,
      errors: [expect.stringMatching(/^error: -c: nope\.conf cannot be read/)],
    })
    expect(await run({ 'a.conf': 'port 1\nallow_anonymus true\n' }, '-c', 'a.conf')).toMatchObject({
      code: 3,
      errors: ['error: a.conf:2: allow_anonymus: unknown; did you mean allow_anonymous?'],
    })
    expect(await run({ 'a.conf': 'listener 1\nacl_file acl\n', acl: 'topic rw #\n' }, '-c', 'a.conf')).toMatchObject({
      code: 3,
      errors: ['error: acl:1: topic: "rw" is no access; there are read, write, readwrite and deny'],
    })
  })

  test('3 for a command line that is wrong', async () => {
    for (const [args, text] of [
      [['-x'], '-x: mosquitto has no such option; there are -c, -p, -v and -h'],
      [['-c'], '-c: needs a value'],
      [['-p', '70000'], '-p: 70000 is no port'],
    ] as const)
      expect(await run({}, ...args)).toMatchObject({ code: 3, errors: [`error: ${text}`] })
    const daemon = await run({}, '-d')
    expect(daemon.code).toBe(3)
    expect(daemon.errors[0]).toMatch(/^error: -d: the broker stays in the foreground.*leave -d out/)
    expect(await run({}, '-h')).toMatchObject({ code: 3, out: [expect.stringMatching(/^Usage: mqttx-broker --mosquitto/)] })
  })

  test('3 where the broker would be more open than mosquitto was', async () => {
    const { code, errors } = await run({ 'a.conf': 'listener 1\nallow_anonymous true\nplugin /lib/dynsec.so\n' }, '-c', 'a.conf')
    expect(code).toBe(3)
    expect(errors).toEqual([
      expect.stringMatching(/^error: a\.conf:3: plugin \/lib\/dynsec\.so: plugins in C do not run here.*init --from/),
    ])
  })

  test('1 for what only the start can tell, and names the line', async () => {
    const port = await freePort()
    const server = createServer().listen(port, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const folder = await folderWith({
      'busy.conf': `# mine\nlistener ${port} 127.0.0.1\nallow_anonymous true\n`,
      'files.conf': `listener ${port} 127.0.0.1\ncertfile nope.crt\nkeyfile nope.key\n`,
    })
    const ends = async (file: string) => {
      const broker = new Command(built.path('presets/bin.js'), folder, ['--mosquitto', '-c', file])
      return [await broker.ended(), broker.errors.at(-1)]
    }
    expect(await ends('busy.conf')).toEqual([1, expect.stringMatching(`^error: busy\\.conf:2: listener: socket\\.port: ${port} is in use`)])
    expect(await ends('files.conf')).toEqual([
      1,
      expect.stringMatching(/^error: files\.conf:2: certfile: socket\.tls\.cert: there is no file/),
    ])
  })
})
