// `node --import jiti/register test/bench/redis/reconnect.ts`: how many persistent clients a second come back to sessions stored in Redis.
// A broker process, a redis-server and this one, which is all clients, share the machine's cores.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { freePort, RedisServer } from '../../support/redis.ts'

const clients = Number(process.argv[2] ?? 10_000)
// Connections that wait for their CONNACK at the same time.
const atOnce = 500

function packet(clientId: string): Buffer {
  const id = Buffer.from(clientId)
  const body = Buffer.concat([Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0, 0, 0, id.length >> 8, id.length & 255]), id])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

const subscribe = Buffer.from([0x82, 6, 0, 1, 0, 1, 0x61, 1])

/** One client's whole CONNECT, and a SUBSCRIBE the first time. */
function come(port: number, clientId: string, first: boolean): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let got = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('data', data => {
      got = Buffer.concat([got, data])
      if (got.length < (first ? 9 : 4)) return
      if (got[0] !== 0x20 || got[3] !== 0) reject(new Error(`CONNACK ${got.toString('hex')}`))
      else if (!first && got[2] !== 1) reject(new Error(`${clientId} has no session`))
      else resolve(socket)
    })
    socket.write(first ? Buffer.concat([packet(clientId), subscribe]) : packet(clientId))
  })
}

async function all(port: number, first: boolean): Promise<{ readonly seconds: number; readonly sockets: Socket[] }> {
  const sockets: Socket[] = []
  let next = 0
  const begun = performance.now()
  const one = async (): Promise<void> => {
    while (next < clients) sockets.push(await come(port, `client-${next++}`, first))
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return { seconds: (performance.now() - begun) / 1000, sockets }
}

async function leave(sockets: readonly Socket[]): Promise<void> {
  const gone = sockets.map(socket => once(socket, 'close'))
  for (const socket of sockets) socket.end(Buffer.from([0xe0, 0]))
  await Promise.all(gone)
}

const server = await RedisServer.start('--appendonly', 'yes')
const port = await freePort()
const settings = ['allowAnonymous=true', `redis.url=${server.url}`, 'log.level=warn'].flatMap(set => ['--set', set])
const run = (): ReturnType<typeof spawn> =>
  spawn(process.execPath, ['dist/presets/bin.js', '--preset', 'dev', '--port', String(port), ...settings], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })

async function listening(): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const is = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false)
    socket.destroy()
    if (is) return
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

let broker = run()
await listening()
const made = await all(port, true)
await leave(made.sockets)
// A new process, which knows the sessions from Redis only.
broker.kill('SIGTERM')
await once(broker, 'exit')
broker = run()
await listening()
const back = await all(port, false)
await leave(back.sockets)
console.log(
  `${clients} persistent clients: first ${Math.round(clients / made.seconds)}/s (CONNECT and SUBSCRIBE), again ${Math.round(clients / back.seconds)}/s`,
)
broker.kill('SIGTERM')
await once(broker, 'exit')
await server.stop()
