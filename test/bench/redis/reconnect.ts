// `node --import jiti/register test/bench/redis/reconnect.ts`: how many persistent clients a second come back to sessions stored in Redis.
// A broker process, a redis-server and this one, which is all clients, share the machine's cores.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { freePort, RedisServer } from '../../support/redis.ts'
import { come, leave, listening } from './clients.ts'

const clients = Number(process.argv[2] ?? 10_000)
// Connections that wait for their CONNACK at the same time.
const atOnce = 500

async function all(port: number, first: boolean): Promise<{ readonly seconds: number; readonly sockets: Socket[] }> {
  const sockets: Socket[] = []
  let next = 0
  const begun = performance.now()
  const one = async (): Promise<void> => {
    while (next < clients) sockets.push(await come(port, `client-${next++}`, first ? { filter: 'a' } : { present: true }))
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return { seconds: (performance.now() - begun) / 1000, sockets }
}

const server = await RedisServer.start('--appendonly', 'yes')
const port = await freePort()
const settings = ['allowAnonymous=true', `redis.url=${server.url}`, 'log.level=warn'].flatMap(set => ['--set', set])
const run = (): ReturnType<typeof spawn> =>
  spawn(process.execPath, ['dist/presets/bin.js', '--preset', 'dev', '--port', String(port), ...settings], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })

let broker = run()
await listening(port)
const made = await all(port, true)
await leave(made.sockets)
// A new process, which knows the sessions from Redis only.
broker.kill('SIGTERM')
await once(broker, 'exit')
broker = run()
await listening(port)
const back = await all(port, false)
await leave(back.sockets)
console.log(
  `${clients} persistent clients: first ${Math.round(clients / made.seconds)}/s (CONNECT and SUBSCRIBE), again ${Math.round(clients / back.seconds)}/s`,
)
broker.kill('SIGTERM')
await once(broker, 'exit')
await server.stop()
