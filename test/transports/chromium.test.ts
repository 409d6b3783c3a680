import { createHash, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Config, definePlugin } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { Chromium } from '../support/chromium.ts'
import { TestCa } from '../support/test-ca.ts'

const bundle = join(dirname(createRequire(import.meta.url).resolve('mqtt/package.json')), 'dist', 'mqtt.min.js')

/** A page that talks MQTT with the broker that it came from, and then writes into its title what it got. */
const page = `<!doctype html><meta charset="utf-8"><title>waiting</title><script src="/mqtt.js"></script><script>
const url = location.protocol.replace('http', 'ws') + '//' + location.host + '/mqtt'
const client = mqtt.connect(url, { protocolVersion: 5, clientId: 'page', reconnectPeriod: 0 })
const got = []
client.on('close', () => fetch('/said', { method: 'POST', body: 'closed' }))
client.on('error', error => fetch('/said', { method: 'POST', body: 'error ' + error.message }))
client.on('message', (topic, payload) => {
  got.push(topic + ' ' + (payload.length > 100 ? payload.length : payload))
  if (got.length === 3) fetch('/said', { method: 'POST', body: got.join(', ') })
})
client.on('connect', async () => {
  await client.subscribeAsync('page/#', { qos: 2 })
  await client.publishAsync('page/0', 'good morning', { qos: 0 })
  await client.publishAsync('page/1', 'grüß dich', { qos: 1 })
  await client.publishAsync('page/2', 'x'.repeat(200000), { qos: 2 })
})
</script>`

/** Serves the page by the broker's own port, and takes what the page says. */
function pages(said: (text: string) => void) {
  return definePlugin({
    name: 'pages',
    requires: ['http'],
    apply({ services }) {
      const routes = services.get('http')
      routes.handle('/page', (_request, response) => void response.end(page))
      routes.handle('/mqtt.js', async (_request, response) => void response.end(await readFile(bundle)))
      routes.handle('/said', async (request, response) => {
        let text = ''
        for await (const chunk of request) text += chunk
        response.end()
        said(text)
      })
    },
  })()
}

/** Opens the page in a browser, and returns what it says; fails with what the browser prints when it ends before. */
async function visit(config: Config, urlOf: (port: number) => string, ...flags: string[]): Promise<string> {
  let told: (text: string) => void = () => {}
  const said = new Promise<string>(resolve => {
    told = resolve
  })
  const broker = await startOnSocket({ socket: false, websocket: { port: 0 }, ...config, plugins: [pages(text => told(text))] })
  const profile = await folderWith()
  const chromium = new Chromium(profile, ['--host-resolver-rules=MAP * 127.0.0.1', ...flags, urlOf(broker.port)])
  onTestFinished(() => chromium.stop())
  return Promise.race([said, chromium.ended])
}

const all = 'page/0 good morning, page/1 grüß dich, page/2 200000'

test('a page in Chromium with MQTT.js over ws, served by the same port', async () => {
  expect(await visit({}, port => `http://localhost:${port}/page`)).toBe(all)
})

test('a page in Chromium whose name has been pointed at this machine does not get in where nobody needs a password', async () => {
  expect(await visit({}, port => `http://pages.example:${port}/page`)).toMatch(/^(closed|error)/)
  expect(await visit({ websocket: { port: 0, origins: '*' } }, port => `http://pages.example:${port}/page`)).toBe(all)
})

test('a page in Chromium over wss, with a certificate that it is told to trust', async () => {
  const ca = await TestCa.create(await folderWith())
  const { cert } = await ca.issue('server', 'localhost')
  const key = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' })
  const fingerprint = createHash('sha256').update(key).digest('base64')
  const ssl = { cert: ca.path('server.crt'), key: ca.path('server.key') }
  expect(await visit({ ssl }, port => `https://localhost:${port}/page`, `--ignore-certificate-errors-spki-list=${fingerprint}`)).toBe(all)
})
