// `node --import jiti/register test/bench/scrape.ts [connections]`: what one scrape costs the broker with so many connections.

import { fork } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Exposition } from '../../plugins/metrics/exposition.ts'
import { createBroker } from '../../presets/index.ts'
import { median } from './report.ts'

const [first, second] = process.argv.slice(2)

/** Opens connections one after another, each until its CONNACK. */
async function open(port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const id = Buffer.from(`c${i}`)
    const packet = Buffer.concat([
      Buffer.from([0x10, 12 + id.length, 0, 4]),
      Buffer.from('MQTT'),
      Buffer.from([4, 2, 0, 0, 0, id.length]),
      id,
    ])
    await new Promise<void>(resolve => {
      const socket = connect(port, '127.0.0.1', () => socket.write(packet))
      socket.once('data', () => resolve())
    })
  }
}

if (first === 'load') {
  const [port, count] = second!.split(',').map(Number) as [number, number]
  await open(port, count)
  process.send!('ready')
} else {
  const count = Number(first ?? 10_000)
  const running = await createBroker({ preset: 'test', log: { level: 'silent' }, socket: { port: 0 } }).start()
  const load = fork(fileURLToPath(import.meta.url), ['load', `${running.port},${count}`], { execArgv: ['--import', 'jiti/register'] })
  await new Promise(resolve => load.once('message', resolve))
  for (const node of [true, false]) {
    const exposition = new Exposition(running.broker, node)
    const costs: number[] = []
    let length = 0
    for (let i = 0; i < 50; i++) {
      // What one scrape has walked through, one a moment later would not walk through again.
      await new Promise(resolve => setTimeout(resolve, 60))
      const before = process.cpuUsage()
      length = (await exposition.text()).length
      const { user, system } = process.cpuUsage(before)
      costs.push((user + system) / 1000)
    }
    console.log(
      `${running.broker.counters.connected} connections, metrics.node ${node}: ${median(costs).toFixed(2)} ms of processor time a scrape, ${length} bytes`,
    )
  }
  load.kill('SIGKILL')
  await running.stop()
}
