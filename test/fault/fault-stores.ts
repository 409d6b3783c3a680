import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RedisServer } from '../support/redis.ts'
import type { FaultStore } from './faults.ts'

/** A folder of its own. */
export function onDisk(): FaultStore {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-fault-disk-'))
  return {
    name: 'disk',
    args: ['--preset', 'standalone', '--set', `disk.path=${folder}`],
    async stop() {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Nothing survives: what the checker has to find. */
export function onMemory(): FaultStore {
  return { name: 'memory', args: ['--preset', 'test'], async stop() {} }
}

/** A redis-server of its own that writes every command to its disk before it answers. */
export async function onRedis(frozenMs = 5000): Promise<FaultStore> {
  const server = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always')
  return {
    name: 'redis',
    args: ['--preset', 'test', '--set', 'memory=false', '--set', `redis.url=${server.url}`],
    async disturb(kind) {
      if (kind === 'kill') {
        await server.kill()
        await server.start()
      } else {
        server.freeze()
        await new Promise(resolve => setTimeout(resolve, frozenMs))
        server.thaw()
      }
    },
    stop: () => server.stop(),
  }
}
