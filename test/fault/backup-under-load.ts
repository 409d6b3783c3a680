import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PacketType } from '../../core/protocol/constants.ts'
import { typed } from '../admin/typed.ts'
import { TestClient } from '../support/client.ts'
import { FaultBroker } from './fault-broker.ts'

const durable = { version: 5, cleanStart: false, properties: { sessionExpiry: 0xff_ff_ff_ff } } as const
const payload = Buffer.alloc(256, 'x')
const calmMs = 4000
const afterMs = 1000
const everyMs = 10

/** What a backup of a broker that is at work showed. */
export interface BackedUp {
  /** Messages acknowledged a second, all the time, and while the backup was made. */
  readonly rate: number
  readonly during: number
  /** The longest that an acknowledgement took, in milliseconds. */
  readonly worst: { readonly calm: number; readonly during: number }
  readonly backupMs: number
  readonly bytes: number
  /** Messages that were acknowledged before the moment that the backup prints. */
  readonly before: number
  /** Messages that a client of the restored broker has read. */
  readonly there: number
  readonly missing: number
}

/** Publishes so many messages a second at QoS 1 for a session that is away, has a backup made meanwhile, restores it elsewhere, and reads out what the session gets there. */
export async function backupUnderLoad(program: string, perSecond: number): Promise<BackedUp> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-backup-'))
  const args = ['--host', '127.0.0.1', '--set', 'mqtt.queueMessagesMax=1000000', '--set', 'mqtt.queueBytesMax=4GiB']
  writeFileSync(join(folder, 'mqttx.config.json'), JSON.stringify({ preset: 'standalone', admin: { socket: './admin.sock' } }))
  let broker = await FaultBroker.start(program, folder, args)
  const open = (): TestClient => new TestClient(connect({ port: broker.port, host: '127.0.0.1', noDelay: true }), 5)
  try {
    const keeper = open()
    await keeper.connect({ ...durable, clientId: 'keeper' })
    await keeper.subscribe('load', 1)
    keeper.disconnect()
    await keeper.closed
    const publisher = open()
    await publisher.connect({ version: 5, clientId: 'publisher' })
    const sentAt: number[] = []
    const acknowledgedAt: number[] = []
    let stops = false
    const began = Date.now()
    const send = (): void => {
      const n = sentAt.push(Date.now()) - 1
      publisher.sendPublish('load', Buffer.concat([Buffer.from(`${n} `), payload]), { qos: 1, packetId: (n % 60_000) + 1 })
    }
    const timer = setInterval(() => {
      // As many as are due by now, however late the timer is.
      const due = Math.floor(((Date.now() - began) * perSecond) / 1000)
      while (sentAt.length < due) send()
    }, everyMs)
    const reading = (async () => {
      while (!stops || acknowledgedAt.length < sentAt.length) {
        await publisher.next(PacketType.Puback)
        // They come in the order of the publishes.
        acknowledgedAt.push(Date.now())
        if (acknowledgedAt.length % 1000 === 0) publisher.forget()
      }
    })()
    await pause(calmMs)
    const from = Date.now()
    const made = await typed('backup copy --json --socket admin.sock', { folder })
    const to = Date.now()
    if (made.code !== 0) throw new Error(made.errors)
    const upTo = Date.parse((made.json as { upTo: string }).upTo)
    await pause(afterMs)
    clearInterval(timer)
    stops = true
    // For whoever waits for an acknowledgement.
    send()
    await reading
    const ended = Date.now()
    publisher.drop()
    await broker.kill()

    const restored = await typed('restore copy --to there --json', { folder })
    if (restored.code !== 0) throw new Error(restored.errors)
    broker = await FaultBroker.start(program, folder, [...args, '--set', 'disk.path=there'])
    const reader = open()
    await reader.connect({ ...durable, clientId: 'keeper' })
    const found = new Set<number>()
    const before = acknowledgedAt.flatMap((at, n) => (at < upTo ? [n] : []))
    const { messages } = (await typed('queue keeper --json --socket admin.sock', { folder })).json as { messages: number }
    while (found.size < messages) {
      found.add(Number.parseInt((await reader.receive()).payload.toString(), 10))
      if (found.size % 1000 === 0) reader.forget()
    }
    reader.drop()
    const slowest = (since: number, until: number): number =>
      acknowledgedAt.reduce((most, at, n) => (sentAt[n]! >= since && sentAt[n]! < until ? Math.max(most, at - sentAt[n]!) : most), 0)
    const count = (since: number, until: number): number => acknowledgedAt.filter(at => at >= since && at < until).length
    return {
      rate: (acknowledgedAt.length * 1000) / (ended - began),
      during: (count(from, to) * 1000) / (to - from),
      worst: { calm: slowest(began, from), during: slowest(from, to) },
      backupMs: to - from,
      bytes: statSync(join(folder, 'copy', 'disk', 'data.mdb')).size,
      before: before.length,
      there: found.size,
      missing: before.filter(n => !found.has(n)).length,
    }
  } finally {
    await broker.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
