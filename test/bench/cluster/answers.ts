import { Connection } from '../load/connection.ts'
import * as packets from '../load/packets.ts'
import { median } from '../report.ts'
import { BenchCluster } from './nodes.ts'

const answersPerRound = 200
const unsubackType = 11

/** How long CONNACK, SUBACK and UNSUBACK take at one of several nodes, one after the other: clean sessions, each with a filter of its own. */
export async function answers(rounds: number): Promise<string> {
  const lines = ['| | CONNACK, median | worst | SUBACK | worst | UNSUBACK | worst |', '|---|--:|--:|--:|--:|--:|--:|']
  const nothing = (): void => {}
  for (const [nodes, what] of [
    [0, 'no cluster'],
    [1, 'one node'],
    [2, 'two nodes'],
    [3, 'three nodes'],
  ] as const) {
    const cluster = await BenchCluster.start(nodes)
    const took = { connack: [] as number[], suback: [] as number[], unsuback: [] as number[] }
    const timed = async (values: number[], done: Promise<unknown>): Promise<void> => {
      const began = performance.now()
      await done
      values.push(performance.now() - began)
    }
    try {
      for (let i = 0; i < answersPerRound * rounds; i++) {
        const listener = { delivered: nothing, acked: nothing, drained: nothing, closed: nothing }
        const client = new Connection(cluster.nodes.at(-1)!.port, i, listener)
        await timed(took.connack, client.connect(packets.connect(`client-${i}`, true)))
        const filter = `answers/${i}`
        await timed(took.suback, client.ask(packets.subscribe([filter], 1), 9))
        await timed(took.unsuback, client.ask(packets.unsubscribe([filter]), unsubackType))
        client.destroy()
      }
    } finally {
      await cluster.stop()
    }
    const of = (values: readonly number[]): string => `${median(values).toFixed(1)} ms | ${Math.max(...values).toFixed(1)} ms`
    const line = `| ${what} | ${of(took.connack)} | ${of(took.suback)} | ${of(took.unsuback)} |`
    console.error(line)
    lines.push(line)
  }
  return lines.join('\n')
}
