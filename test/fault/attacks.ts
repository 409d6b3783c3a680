import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PacketType } from '../../core/protocol/constants.ts'
import type { UserProperty } from '../../core/protocol/packets.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { closed, Target, times } from '../security/target.ts'
import { type ConnectOptions, connectPacket, publishBytes, type TestClient } from '../support/client.ts'

/** What an attack showed. */
export interface AttackReport {
  /** What it cost, in words. */
  readonly figures: readonly string[]
  readonly pingMedianMs: number
  readonly pingMaxMs: number
  /** The same in the second before the attack: what the machine itself takes. */
  readonly calmMaxMs: number
  /** Messages that the bystander published to itself, and got. */
  readonly delivered: number
  readonly wrong: readonly string[]
}

interface Attack {
  /** What the broker is told besides, and Node. */
  readonly config?: object
  readonly node?: readonly string[]
  /** What takes this process so long that the bystander, who is in it too, would wait for it. */
  prepare?(): void
  run(target: Target): Promise<string[]>
}

// What is promised to a bystander.
const medianMax = 50
const worstMax = 300
const pingEveryMs = 20
const calmMs = 1000

let largeConnect: Buffer | undefined
let allowedConnect: Buffer | undefined

/** Attacks whose price is known: `docs/security.md` has it. */
export const attacks: Readonly<Record<string, Attack>> = {
  filters: {
    async run(target) {
      const levels = 13
      await subscribed(target, overlapping(levels, 2 ** levels))
      const publisher = await talking(target)
      const topic = `${'x/'.repeat(levels)}`
      const bytes = Buffer.concat(Array.from({ length: 60 }, (_, i) => publishBytes(`${topic}${i}`, 'x')))
      const ms = await cpuOf(target, () => sent(publisher, bytes))
      return [`8,192 overlapping filters of one session, 60 publishes to new topics in one write: ${each(ms, 60)} of CPU each`]
    },
  },
  topics: {
    config: { mqtt: { subscriptionsMax: 1000 } },
    node: ['--max-old-space-size=300'],
    async run(target) {
      await subscribed(target, overlapping(10, 1000))
      const publisher = await talking(target)
      const before = target.memory.now
      const count = 24_000
      const ms = await cpuOf(target, async () => {
        for (let from = 0; from < count; from += 200) {
          const batch = Array.from({ length: 200 }, (_, i) => publishBytes(`${'x/'.repeat(10)}${from + i}`, ''))
          await sent(publisher, Buffer.concat(batch))
        }
      })
      const grown = (target.memory.peak - before).toFixed(0)
      return [
        `24,000 new topics that 1,000 filters of one session match, heap 300 MB: ${each(ms, count)} of CPU each, ${grown} MiB more at most`,
      ]
    },
  },
  properties: {
    prepare() {
      largeConnect ??= manyProperties(400_000)
      allowedConnect ??= manyProperties(26_000)
    },
    async run(target) {
      const refuse = async (bytes: Buffer): Promise<number> => {
        const count = 50
        const ms = await cpuOf(target, async () => {
          for (let i = 0; i < count; i++) {
            const socket = await target.socket()
            socket.write(bytes)
            await closed(socket)
          }
        })
        return ms / count
      }
      const [large, allowed] = [largeConnect!, allowedConnect!]
      const figures = [
        `a CONNECT of ${size(large)} full of user properties, refused: ${(await refuse(large)).toFixed(2)} ms of CPU`,
        `one of ${size(allowed)}, refused: ${(await refuse(allowed)).toFixed(2)} ms`,
      ]
      const before = target.memory.now
      const halves = await times(200, async () => {
        const socket = await target.socket()
        await new Promise(resolve => socket.write(allowed.subarray(0, allowed.length - 1), resolve))
        return socket
      })
      await (await talking(target)).rest()
      figures.push(`200 of these of which the last byte is missing: ${(target.memory.peak - before).toFixed(0)} MiB more at most`)
      for (const socket of halves) socket.destroy()
      return figures
    },
  },
  groups: {
    async run(target) {
      const figures: string[] = []
      const publisher = await talking(target)
      for (const sessions of [1, 20]) {
        for (let i = sessions === 1 ? 0 : 1; i < sessions; i++)
          await subscribed(
            target,
            Array.from({ length: 1000 }, (_, group) => `$share/g${i}-${group}/#`),
          )
        const count = 100
        const bytes = Buffer.concat(Array.from({ length: count }, (_, i) => publishBytes(`a/${i % 4}`, 'x')))
        const ms = await cpuOf(target, () => sent(publisher, bytes))
        figures.push(
          `${sessions} sessions of 1,000 shared groups that all match, 100 publishes in one write: ${each(ms, count)} of CPU each`,
        )
      }
      return figures
    },
  },
  http: {
    config: { websocket: { port: 0 }, limits: { maxConnections: 50 } },
    async run(target) {
      const port = await target.portOf('ws')
      let open = 0
      const before = target.memory.now
      const ms = await cpuOf(target, () =>
        times(1000, async () => {
          const socket = await target.socket('127.0.0.1', port)
          open += 1
          socket.on('close', () => void (open -= 1))
          socket.resume()
        }).then(() => new Promise(resolve => setTimeout(resolve, 500))),
      )
      return [
        `1,000 silent connections to a WebSocket port, maxConnections 50: ${each(ms, 1000)} of CPU each, ${open} are open, ${(target.memory.peak - before).toFixed(0)} MiB more at most`,
      ]
    },
  },
  refused: {
    config: { mqtt: { clientIdOwner: 'user' } },
    async run(target) {
      const clientId = 'x'.repeat(65_000)
      const owner = await target.open(5)
      await owner.connect({ clientId })
      const lines = target.log.length
      const count = 500
      const stranger = connectBytes({ clientId, username: 'stranger' })
      const ms = await cpuOf(target, async () => {
        for (let i = 0; i < count; i++) {
          const socket = await target.socket()
          socket.write(stranger)
          await closed(socket)
        }
      })
      const said = target.log.slice(lines).filter(({ msg }) => /disconnected|refused/.test(msg))
      const length = said.reduce((sum, line) => sum + JSON.stringify(line).length, 0)
      return [
        `500 CONNECTs with a client id of 65,000 characters, refused: ${each(ms, count)} of CPU each, ${said.length} lines of ${length} bytes together`,
      ]
    },
  },
}

/** Runs one attack against a broker of its own, beside a bystander that pings, publishes and reads. */
export async function runAttack(program: string, { config, node = [], prepare, run }: Attack): Promise<AttackReport> {
  prepare?.()
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-attack-'))
  const common = { socket: { port: 0 }, log: { format: 'json' }, allowAnonymous: true }
  writeFileSync(join(folder, 'mqttx.config.json'), JSON.stringify({ ...common, ...config }))
  const target = new Target(program, folder, node)
  try {
    await target.ready()
    const bystander = await target.open(5)
    await bystander.connect({ clientId: 'bystander' })
    await bystander.subscribe('bystander/own', 1)
    const watching = watch(bystander)
    await new Promise(resolve => setTimeout(resolve, calmMs))
    const calmMaxMs = Math.max(...watching.pings.splice(0))
    const figures = await run(target)
    const { delivered, wrong } = await watching.stop()
    const { pings } = watching
    if (!target.runs) wrong.push(`the broker has ended: ${target.errors}`)
    pings.sort((a, b) => a - b)
    const pingMedianMs = pings[pings.length >> 1]!
    const pingMaxMs = pings.at(-1)!
    if (pingMedianMs >= medianMax) wrong.push(`a ping took ${pingMedianMs.toFixed(0)} ms in the median`)
    if (pingMaxMs >= worstMax) wrong.push(`a ping took ${pingMaxMs.toFixed(0)} ms`)
    return { figures, pingMedianMs, pingMaxMs, calmMaxMs, delivered, wrong }
  } finally {
    target.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

function watch(bystander: TestClient): { readonly pings: number[]; stop(): Promise<{ delivered: number; wrong: string[] }> } {
  const pings: number[] = []
  const wrong: string[] = []
  let stopped = false
  const done = (async () => {
    for (let count = 0; ; count++) {
      const began = performance.now()
      bystander.send({ type: PacketType.Pingreq })
      await bystander.next(PacketType.Pingresp)
      pings.push(performance.now() - began)
      bystander.sendPublish('bystander/own', String(count), { qos: 1 })
      const { payload } = await bystander.receive()
      if (String(payload) !== String(count)) wrong.push(`the bystander got ${payload} where ${count} was due`)
      bystander.forget()
      if (stopped) return { delivered: count + 1, wrong }
      await new Promise(resolve => setTimeout(resolve, pingEveryMs))
    }
  })()
  return {
    pings,
    stop() {
      stopped = true
      return done
    },
  }
}

function manyProperties(count: number): Buffer {
  return connectBytes({ properties: { userProperties: Array.from({ length: count }, (): UserProperty => ['', '']) } })
}

/** Filters that are all different, and all match `x/x/…/anything`. */
function overlapping(levels: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${Array.from({ length: levels }, (_, bit) => ((i >> bit) & 1 ? '+' : 'x')).join('/')}/+`)
}

function connectBytes(options: ConnectOptions): Buffer {
  return encodePacket(connectPacket({ ...options, version: 5 }), 5)
}

async function talking(target: Target): Promise<TestClient> {
  const client = await target.open(4)
  await client.connect()
  return client
}

/** A session with filters, which reads what comes and does not look at it. */
async function subscribed(target: Target, filters: readonly string[]): Promise<Socket> {
  const client = await target.open(5)
  await client.connect()
  for (let from = 0; from < filters.length; from += 1000) {
    const codes = await client.subscribe(filters.slice(from, from + 1000))
    if (codes.some(code => code >= 0x80)) throw new Error('a filter was refused')
  }
  client.stream.removeAllListeners('data')
  client.stream.resume()
  return client.stream as Socket
}

/** Writes bytes, and waits until the broker has dealt with them. */
async function sent(client: TestClient, bytes: Buffer): Promise<void> {
  client.stream.write(bytes)
  client.send({ type: PacketType.Pingreq })
  await client.next(PacketType.Pingresp)
}

async function cpuOf(target: Target, work: () => Promise<unknown>): Promise<number> {
  const before = target.cpuMs
  await work()
  return target.cpuMs - before
}

function each(ms: number, count: number): string {
  const one = ms / count
  return one >= 0.1 ? `${one.toFixed(2)} ms` : `${(one * 1000).toFixed(0)} µs`
}

function size({ length }: Buffer): string {
  return length >= 1e6 ? `${(length / 1e6).toFixed(1)} MB` : `${(length / 1024).toFixed(0)} KiB`
}
