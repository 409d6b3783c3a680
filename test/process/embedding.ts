import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ts } from '@ts-morph/common'
import { freePort } from '../support/redis.ts'

/** What the programs of docs/embedding.md do, each tried from outside while it runs: in one process, which is a proof of its own. */
const driver = `
import mqtt from 'mqtt'

const message = async (url, topic, options = {}) => {
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0, ...options })
  const heard = new Promise(resolve => client.on('message', (topic, payload) => resolve(topic + ' ' + payload)))
  await client.subscribeAsync(topic, { qos: 1 })
  await client.publishAsync(topic.replace('+', '7'), 'heard', { qos: 1, retain: false })
  const first = await heard
  client.end(true)
  return first
}
const text = async url => (await fetch(url)).text()

await import('./program.js')
console.log('program', await message('mqtt://127.0.0.1:PORT_program', 'meters/+/state', { clientId: 'meter-7' }))
await import('./express.js')
console.log('express', await text('http://127.0.0.1:PORT_express/'), await message('ws://127.0.0.1:PORT_express/mqtt', 'a'))
await import('./fastify.js')
console.log('fastify', await text('http://127.0.0.1:PORT_fastify/'), await message('ws://127.0.0.1:PORT_fastify/mqtt', 'a'))
await import('./site.js')
console.log('site', await text('http://127.0.0.1:PORT_site/pages/hello'), await text('http://127.0.0.1:PORT_site/api/hello'), await message('ws://127.0.0.1:PORT_site/mqtt', 'a'))
await import('./sockets.js')
console.log('sockets', await message('mqtt://127.0.0.1:PORT_sockets', 'a'))
await import('./transport.js')
await import('./several.js')
console.log('all')
process.kill(process.pid, 'SIGTERM')
`

const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true }

const ports = { program: 1883, express: 3000, fastify: 3000, site: 8083, sockets: 1884, forked: 1883 }

/** Writes the programs of docs/embedding.md into a folder, each on a port of its own, those of docs/testing.md, and `drive.mjs`. Returns the ports. */
export async function writeEmbedding(root: string, folder: string): Promise<Record<keyof typeof ports, number>> {
  await mkdir(join(folder, 'node_modules'), { recursive: true })
  for (const name of ['express', 'fastify', 'mqtt']) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  const page = readFileSync(join(root, 'docs/embedding.md'), 'utf8')
  const given: Record<string, number> = {}
  let text = driver
  for (const name of Object.keys(ports)) {
    given[name] = await freePort()
    text = text.replaceAll(`PORT_${name}`, String(given[name]))
  }
  for (const [, name, code] of page.matchAll(/^```(?:ts|js)\n\/\/ (\S+)\n(.*?)^```/gms)) {
    const program = name!.split('.')[0] as keyof typeof ports
    const known = ports[program]
    const placed = known === undefined ? code! : code!.replaceAll(String(known), String(given[program]))
    // As Node 24 would run it, and at less cost than by a loader. That each compiles is test/docs/code-blocks.test.ts.
    if (name!.endsWith('.ts')) writeFileSync(join(folder, `${program}.js`), ts.transpileModule(placed, { compilerOptions }).outputText)
    else writeFileSync(join(folder, name!), placed)
  }
  const testing = readFileSync(join(root, 'docs/testing.md'), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)
  const tests = [...testing].map(([, code], i) => {
    writeFileSync(join(folder, `testing-${i}.js`), ts.transpileModule(code!, { compilerOptions }).outputText)
    return `await import('./testing-${i}.js')\n`
  })
  writeFileSync(join(folder, 'drive.mjs'), text.replace("console.log('all')", `${tests.join('')}console.log('all', ${tests.length})`))
  return given as Record<keyof typeof ports, number>
}
