import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { FaultBroker } from '../fault/fault-broker.ts'
import { TestClient } from '../support/client.ts'
import { RedisServer } from '../support/redis.ts'
import { dumpRedis } from '../support/redis-dump.ts'
import { writeHistory } from './history.ts'

// Makes what an older version of this broker has stored, for the tests beside this file:
//
//   node --import jiti/register test/upgrade/write.ts CHECKOUT NAME
//
// CHECKOUT is the folder of a checkout of the older version, built (`npm run build`). NAME is the folder beside this file to write to: the store, and the
// number of its format (`disk-1`). The older broker is started on an empty store, given the history (history.ts), and killed.

/** A store that an older broker is started on. */
interface OldStore {
  /** The part of its config that names the store; relative paths are in the broker's folder. */
  readonly config: object
  /** Takes what the killed broker has left in its folder, or in the server that kept it, to the folder of the fixture. */
  keep(folder: string, target: string): void | Promise<void>
}

const stores: Record<string, () => OldStore | Promise<OldStore>> = {
  disk: () => ({
    config: { preset: 'standalone', disk: { path: './data' } },
    keep: (folder, target) => keepDatabase(join(folder, 'data'), target),
  }),
  async redis() {
    const server = await RedisServer.start()
    return {
      config: { preset: 'dev', redis: { url: server.url } },
      async keep(_folder, target) {
        const client = server.client()
        writeFileSync(join(target, 'keys.json.gz'), gzipSync(JSON.stringify(await dumpRedis(client)), { level: 9 }))
        client.disconnect()
        await server.stop()
      },
    }
  },
}

const [checkout, name] = process.argv.slice(2)
const open = stores[name?.split('-')[0] ?? '']
if (checkout === undefined || name === undefined || open === undefined)
  throw new Error(`which checkout, and which of ${Object.keys(stores).join(', ')} with the number of its format?`)

const store = await open()
const target = fileURLToPath(new URL(`${name}/`, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'mqttx-upgrade-'))
// What waits outside of sessions lies on disk whatever keeps these.
const config = { ...store.config, diskQueue: { path: './queue' }, delay: {} }
writeFileSync(join(folder, 'mqttx.config.json'), JSON.stringify(config))
const broker = await FaultBroker.start(join(resolve(checkout), 'dist/presets/bin.js'), folder, ['--config', 'mqttx.config.json'])
const connections = await writeHistory(version => new TestClient(connect({ port: broker.port, host: '127.0.0.1', noDelay: true }), version))
// The sign of life is at most five seconds old.
const killedAt = Date.now()
await broker.kill()
for (const connection of connections) connection.drop()
rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })
await store.keep(folder, target)
keepDatabase(join(folder, 'queue'), target)
writeFileSync(join(target, 'facts.json'), `{ "killedAt": ${killedAt} }\n`)
rmSync(folder, { recursive: true, force: true })

function keepDatabase(path: string, target: string): void {
  writeFileSync(join(target, `${basename(path)}.mdb.gz`), gzipSync(readFileSync(join(path, 'data.mdb')), { level: 9 }))
}
