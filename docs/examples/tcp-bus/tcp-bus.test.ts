import assert from 'node:assert/strict'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { describe, it, test } from 'node:test'
import { createBroker } from 'mqttx-broker'
import { type BusOwner, busContract } from 'mqttx-broker/contracts'
import { Hub } from './hub.ts'
import { TcpBus, tcpBus } from './tcp-bus.ts'

const secret = 'a secret of this test'
const inboxMax = 1024 * 1024

/** A cable between a node and the hub that can be pulled. */
class Cable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  isPulled = false

  constructor(hubPort: number) {
    this.#server = createServer(socket => {
      if (this.isPulled) return void socket.destroy()
      const other = connect(hubPort, '127.0.0.1')
      for (const [one, two] of [
        [socket, other],
        [other, socket],
      ] as const) {
        this.#sockets.add(one)
        one.on('error', () => {})
        one.on('close', () => two.destroy())
        one.pipe(two)
      }
    })
  }

  async open(): Promise<number> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return (this.#server.address() as { port: number }).port
  }

  pull(): void {
    this.isPulled = true
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.pull()
    this.#server.close()
  }
}

let hub: Hub | null = null
let hubPort = 0
const cables = new Map<unknown, Cable>()

const owner: BusOwner = {
  name: 'on plain TCP',
  inboxBytes: inboxMax,
  async create(node) {
    if (hub === null) {
      hub = new Hub({ secret, inboxMax })
      hubPort = await hub.listen(0)
    }
    const cable = new Cable(hubPort)
    const bus = new TcpBus(node, { host: '127.0.0.1', port: await cable.open(), secret, waitingMax: 64 * 1024 * 1024 })
    cables.set(bus, cable)
    return bus
  },
  async stop(bus) {
    await (bus as TcpBus).stop()
    cables.get(bus)!.close()
  },
  async crash(bus) {
    await (bus as TcpBus).stop(true)
    cables.get(bus)!.close()
  },
  cut(bus) {
    const cable = cables.get(bus)!
    cable.pull()
    return () => {
      cable.isPulled = false
    }
  },
  async dispose() {
    await hub?.close()
    hub = null
    cables.clear()
  },
}

busContract({ describe, it }, owner)

test('brokers are one by the plugin: what one accepts the subscribers of the other get', async t => {
  const own = new Hub({ secret })
  const port = await own.listen(0)
  t.after(() => own.close())
  const start = async (brokerId: string) => {
    const config = { preset: 'standalone', memory: true, disk: false, admin: false, socket: false, log: { level: 'silent' } } as const
    const cluster = { enable: true, heartbeat: 100, expiry: 2000 }
    const running = await createBroker({ ...config, brokerId, cluster, plugins: [tcpBus({ port, secret })] }).start()
    t.after(() => running.stop())
    return running
  }
  const [one, two] = [await start('one'), await start('two')]
  const heard = new Promise(resolve => two.subscribe('t', ({ payload }) => resolve(String(payload))))
  // The subscription has to be known over there first.
  const again = setInterval(() => void one.publish({ topic: 't', payload: 'over there', qos: 1 }), 50)
  t.after(() => clearInterval(again))
  assert.equal(await heard, 'over there')
})

test('a hub lets nobody in without the secret', async t => {
  const own = new Hub({ secret })
  const port = await own.listen(0)
  t.after(() => own.close())
  const bus = new TcpBus('a', { host: '127.0.0.1', port, secret: 'another secret of a test', waitingMax: 1024 })
  const ignored = { announced() {}, received() {}, joined() {}, left() {}, inherited() {}, expelled() {}, missed() {}, interrupted() {} }
  await bus.open(ignored, { heartbeatMs: 50, expiryMs: 500, facts: () => ({}) })
  assert.equal(bus.connected, false)
  await bus.stop()
})
