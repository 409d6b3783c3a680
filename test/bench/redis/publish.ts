// `node --import jiti/register test/bench/redis/publish.ts [seconds]`: QoS 1 publish-only of 1000 clients, each message for one of 100
// persistent subscribers who are away, on this broker with Redis and on aedes with aedes-persistence-redis, each with a redis-server of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { freePort, RedisServer } from '../../support/redis.ts'
import { come, leave, listening } from './clients.ts'

const seconds = Number(process.argv[2] ?? 8)
const publishers = 1000
const subscribers = 100
const payloadBytes = 100

interface Figures {
  readonly perSecond: number
  /** Of the broker, in percent of one core. */
  readonly cpu: number
  /** Messages that Redis holds for the subscribers, of those acknowledged. */
  readonly stored: number
  readonly acknowledged: number
}

async function measure(
  start: (port: number, redis: RedisServer) => string[],
  storedOf: (redis: RedisServer, n: number) => Promise<unknown>,
): Promise<Figures> {
  const redis = await RedisServer.start('--appendonly', 'yes')
  const port = await freePort()
  const broker = spawn(process.execPath, start(port, redis), { stdio: ['ignore', 'ignore', 'inherit'] })
  await listening(port)
  const readers: Socket[] = []
  for (let i = 0; i < subscribers; i++) readers.push(await come(port, `reader-${i}`, { filter: `s/${i}` }))
  await leave(readers)
  const writers: Socket[] = []
  for (let i = 0; i < publishers; i++) writers.push(await come(port, `writer-${i}`, { isClean: true }))

  let acknowledged = 0
  let isOver = false
  const ended: Promise<void>[] = []
  const cpuBefore = cpuSeconds(broker.pid!)
  const begun = performance.now()
  for (const [i, socket] of writers.entries()) {
    const topic = Buffer.from(`s/${i % subscribers}`)
    const header = Buffer.from([0x32, 2 + topic.length + 2 + payloadBytes, 0, topic.length])
    const packet = Buffer.concat([header, topic, Buffer.from([0, 1]), Buffer.alloc(payloadBytes, 'x')])
    ended.push(
      new Promise(resolve => {
        let bytes = 0
        socket.on('data', data => {
          bytes += data.length
          if (bytes < 4) return
          bytes -= 4
          acknowledged += 1
          if (isOver) resolve()
          else socket.write(packet)
        })
      }),
    )
    socket.write(packet)
  }
  await new Promise(resolve => setTimeout(resolve, seconds * 1000))
  const took = (performance.now() - begun) / 1000
  const [inTime, cpu] = [acknowledged, ((cpuSeconds(broker.pid!) - cpuBefore) / took) * 100]
  isOver = true
  await Promise.all(ended)
  let stored = 0
  for (let i = 0; i < subscribers; i++) stored += Number(await storedOf(redis, i))
  await leave(writers)
  broker.kill('SIGKILL')
  await once(broker, 'exit')
  await redis.stop()
  return { perSecond: Math.round(inTime / took), cpu: Math.round(cpu), stored, acknowledged }
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const settings = (redis: RedisServer): string[] =>
  ['allowAnonymous=true', `redis.url=${redis.url}`, 'log.level=warn'].flatMap(set => ['--set', set])
const ours = await measure(
  (port, redis) => ['dist/presets/bin.js', '--preset', 'dev', '--port', String(port), ...settings(redis)],
  (redis, n) => redis.call('ZCARD', `mqttx:client:pubmsg:{reader-${n}}`),
)
console.log('mqttx-broker, redis', ours)
const aedes = await measure(
  (port, redis) => ['test/bench/redis/aedes-broker.mjs', String(port), String(redis.port)],
  (redis, n) => redis.call('LLEN', `outgoing:reader-${n}`),
)
console.log('aedes, aedes-persistence-redis', aedes)
console.log(`${(ours.perSecond / aedes.perSecond).toFixed(1)} times as many messages a second`)
