import { TcpProxy } from '../../support/tcp-proxy.ts'
import { Connection } from '../load/connection.ts'
import * as packets from '../load/packets.ts'
import { median } from '../report.ts'
import { BenchCluster } from './nodes.ts'

const clientId = 'goes-about'

interface Visit {
  readonly connection: Connection
  /** Milliseconds from CONNECT to CONNACK. */
  readonly connackMs: number
  /** Resolves when the broker has closed it. */
  readonly closed: Promise<void>
}

async function visit(port: number): Promise<Visit> {
  let ended!: () => void
  const closed = new Promise<void>(resolve => {
    ended = resolve
  })
  const nothing = (): void => {}
  const connection = new Connection(port, 0, { delivered: nothing, acked: nothing, drained: nothing, closed: ended })
  const began = performance.now()
  await connection.connect(packets.connect(clientId, false))
  return { connection, connackMs: performance.now() - began, closed }
}

/** A stored session that goes from node to node: in good order, away from one that is frozen, and from one that is cut off from Redis for 3 s. */
export async function owners(rounds: number): Promise<string> {
  const found = { taken: [] as number[], closed: [] as number[], frozen: [] as number[], cut: [] as number[], healed: [] as number[] }
  for (let round = 0; round < rounds; round++) {
    const proxies: TcpProxy[] = []
    const cluster = await BenchCluster.start(2, async redisPort => {
      const proxy = await TcpProxy.start(redisPort)
      proxies.push(proxy)
      return proxy.port
    })
    const [a, b] = cluster.nodes
    try {
      let here = await visit(a!.port)
      for (let i = 0; i < 20; i++) {
        const there = await visit(i % 2 === 0 ? b!.port : a!.port)
        const answered = performance.now()
        await here.closed
        found.taken.push(there.connackMs)
        found.closed.push(performance.now() - answered)
        here = there
      }
      process.kill(a!.pid, 'SIGSTOP')
      const fromFrozen = await visit(b!.port)
      found.frozen.push(fromFrozen.connackMs)
      process.kill(a!.pid, 'SIGCONT')
      await here.closed
      const again = await visit(a!.port)
      await fromFrozen.closed
      proxies[0]!.cut('silent')
      const fromCut = await visit(b!.port)
      found.cut.push(fromCut.connackMs)
      await new Promise(resolve => setTimeout(resolve, 3000))
      proxies[0]!.heal()
      const healed = performance.now()
      await again.closed
      found.healed.push(performance.now() - healed)
      fromCut.connection.destroy()
    } finally {
      await cluster.stop()
      await Promise.all(proxies.map(proxy => proxy.stop()))
    }
  }
  const row = (what: string, values: readonly number[]): string =>
    `| ${what} | ${median(values).toFixed(1)} ms | ${Math.max(...values).toFixed(1)} ms |`
  return [
    '| | median | worst |',
    '|---|--:|--:|',
    row('a stored session at another node: from CONNECT to CONNACK', found.taken),
    row('from that CONNACK until the connection before it is closed', found.closed),
    row('the same where its node is frozen: from CONNECT to CONNACK', found.frozen),
    row('where its node is cut off from Redis: from CONNECT to CONNACK', found.cut),
    row('from the end of that until the lost connection is closed', found.healed),
  ].join('\n')
}
