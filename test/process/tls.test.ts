import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { TestCa } from '../support/test-ca.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()
const ssl = { cert: 'tls/server.crt', key: 'tls/server.key', ca: 'tls/ca.crt', clientAuth: true }

async function initialized(): Promise<string> {
  const folder = await folderWith({ 'mqttx.config.json': '{ "socket": [{ "port": 1884, "tls": false }, { "port": 8883 }] }' })
  const init = new Command(built.path('presets/bin.js'), folder, ['init', '--tls'])
  expect(await init.ended()).toBe(0)
  // The port is that of the listener which will have TLS.
  expect(init.out.join('\n')).toMatch(/wrote ca\.crt.*ssl: \{ cert: 'tls\/server\.crt'.* -p 8883 /s)
  return folder
}

test('init --tls makes certificates by which what it prints works, and overwrites nothing', async () => {
  const folder = await initialized()
  expect((await stat(join(folder, 'tls/server.key'))).mode & 0o777).toBe(0o600)
  execFileSync('openssl', ['verify', '-CAfile', join(folder, 'tls/ca.crt'), join(folder, 'tls/server.crt'), join(folder, 'tls/client.crt')])

  await writeFile(join(folder, 'mqttx.config.json'), JSON.stringify({ preset: 'test', socket: { port: 0 }, ssl }))
  const broker = new Command(built.path('presets/bin.js'), folder, [])
  const port = await broker.ready()
  expect(broker.out.join('\n')).toMatch(/tls listening on 127\.0\.0\.1/)
  const file = (name: string) => readFile(join(folder, 'tls', name))
  const [ca, cert, key] = await Promise.all([file('ca.crt'), file('client.crt'), file('client.key')])
  const client = await mqtt.connectAsync(`mqtts://localhost:${port}`, { ca, cert, key, reconnectPeriod: 0 })
  onTestFinished(() => void client.end(true))
  await client.publishAsync('a', 'b', { qos: 1 })

  const again = new Command(built.path('presets/bin.js'), folder, ['init', '--tls'])
  expect(await again.ended()).toBe(1)
  expect(again.errors).toEqual([
    expect.stringMatching(/^error: init --tls: tls\/ holds certificates already, and nothing was written; move them away/),
  ])
})

test('SIGHUP takes up a renewed certificate; connections stay', async () => {
  const folder = await folderWith()
  const ca = await TestCa.create(folder)
  await ca.issue('server', 'localhost')
  await writeFile(
    join(folder, 'mqttx.config.json'),
    JSON.stringify({ preset: 'test', socket: { port: 0 }, ssl: { cert: 'server.crt', key: 'server.key', checkFilesEvery: null } }),
  )
  const broker = new Command(built.path('presets/bin.js'), folder, [])
  const port = await broker.ready()
  const serial = async (): Promise<[TLSSocket, string]> => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: ca.cert })
    onTestFinished(() => void socket.destroy())
    await once(socket, 'secureConnect')
    return [socket, socket.getPeerCertificate().serialNumber]
  }
  const [old, before] = await serial()
  await ca.issue('server', 'localhost')
  expect((await serial())[1]).toBe(before)
  broker.signal('SIGHUP')
  await broker.line(/ssl: new connections get the certificate/)
  expect((await serial())[1]).not.toBe(before)
  old.write(Buffer.from('100f00044d5154540402003c0003746c73', 'hex'))
  const [connack] = await once(old, 'data')
  expect(connack.toString('hex')).toBe('20020000')
})

test('a wrong certificate at start is one line, and exit 1', async () => {
  const folder = await folderWith()
  const broker = new Command(built.path('presets/bin.js'), folder, [
    '--port',
    '0',
    '--set',
    'ssl.cert=x.crt',
    '--set',
    'ssl.key=x.key',
    '--preset',
    'test',
  ])
  expect(await broker.ended()).toBe(1)
  expect(broker.errors).toEqual([
    expect.stringMatching(
      /^error: ssl\.(cert|key): there is no file .*; correct the path, or make certificates for testing: npx mqttx-broker init --tls$/,
    ),
  ])
})
