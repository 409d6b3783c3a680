import { connect as connectSocket, type Socket } from 'node:net'
import { PacketType } from '../../core/protocol/constants.ts'
import { TestClient } from '../support/client.ts'
import type { FaultBroker } from './fault-broker.ts'

const patienceMs = 30_000

/**
 * What is wrong with brokers that ought to be one again: each must bring a message to each, once; and all must say the same of how many are
 * connected where and which filters each has. `expected`: connections that there are; a second one under the same client id would be one too many.
 */
export async function disagreements(nodes: readonly FaultBroker[], expected: number): Promise<string[]> {
  const sockets: Socket[] = []
  const clients: TestClient[] = []
  try {
    for (const [i, { port }] of nodes.entries()) {
      const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true })
      sockets.push(socket)
      const client = new TestClient(socket, 5)
      await client.connect({ version: 5, clientId: `probe-${i}` })
      await client.subscribe(`probe/${i}`, 1)
      await client.subscribe(['$SYS/broker/nodes/+/clients/connected', '$SYS/broker/nodes/+/routes'])
      clients.push(client)
    }
    const wrong = await unreached(clients)
    wrong.push(...(await different(clients, expected + clients.length)))
    return wrong
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

async function unreached(clients: readonly TestClient[]): Promise<string[]> {
  const wrong: string[] = []
  for (const [to, reader] of clients.entries()) {
    for (const [from, writer] of clients.entries()) {
      if (from === to) continue
      const copies = (text: string) => heard(reader).filter(({ payload }) => payload === text).length
      let tries = 0
      let text = ''
      const isThere = await within(async () => {
        text = `${from} to ${to}, ${++tries}`
        writer.sendPublish(`probe/${to}`, text, { qos: 1 })
        await pause(50)
        return copies(text) > 0
      })
      if (!isThere) wrong.push(`node ${from} has no route to node ${to}`)
      else if (copies(text) > 1) wrong.push(`node ${to} got ${copies(text)} copies of one message of node ${from}`)
    }
  }
  return wrong
}

async function different(clients: readonly TestClient[], expected: number): Promise<string[]> {
  const views = () => clients.map(viewOf)
  const isRight = () => {
    const [first, ...others] = views().map(view => JSON.stringify(view))
    const connected = Object.entries(viewOf(clients[0]!)).reduce(
      (sum, [name, value]) => sum + (name.endsWith('connected') ? Number(value) : 0),
      0,
    )
    return others.every(other => other === first) && connected === expected
  }
  if (
    await within(async () => {
      await pause(50)
      return isRight()
    })
  )
    return []
  return [`${expected} connections are right, and the nodes say ${JSON.stringify(views())}`]
}

/** The last that a node has said of each. */
function viewOf(client: TestClient): Record<string, string> {
  const last: Record<string, string> = {}
  for (const { topic, payload } of heard(client)) if (topic.startsWith('$SYS/')) last[topic] = payload
  return Object.fromEntries(Object.entries(last).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function heard(client: TestClient): { topic: string; payload: string }[] {
  return client.heard.flatMap(packet => {
    if (packet.type !== PacketType.Publish) return []
    return [{ topic: packet.topic, payload: String(packet.payload) }]
  })
}

async function within(isSo: () => Promise<boolean>): Promise<boolean> {
  const until = performance.now() + patienceMs
  while (performance.now() < until) if (await isSo()) return true
  return false
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
