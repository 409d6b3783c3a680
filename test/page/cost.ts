// `npm run page:cost`: what the page costs with 10,000 clients, on a machine that does nothing else. The broker is a process of its own.
//   1. The broker's processor time, in percent of a core: nobody looks, the overview is open, nobody looks again. Wanted: the page's part below 3 %.
//   2. The longest task of the page while the list of clients is scrolled to its end, put in order and searched, in milliseconds of wall time. Wanted: at most 100.
//   --clients N   how many; --seconds N   how long each part of 1. takes
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { PacketType } from '../../core/protocol/constants.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { typed } from '../admin/typed.ts'
import { FaultBroker } from '../fault/fault-broker.ts'
import { Browser, sizes } from './browser.ts'

const { values } = parseArgs({ options: { clients: { type: 'string', default: '10000' }, seconds: { type: 'string', default: '30' } } })
const [clients, seconds] = [Number(values.clients), Number(values.seconds)]
// What the kernel counts processor time in.
const ticksPerSecond = 100

const folder = mkdtempSync(join(tmpdir(), 'mqttx-cost-'))
writeFileSync(join(folder, 'mqttx.config.json'), JSON.stringify({ admin: { page: true, http: { port: 0 }, socket: './admin.sock' } }))
const args = ['--preset', 'standalone', '--set', 'allowAnonymous=true', '--set', 'log.level=info', '--config', 'mqttx.config.json']
const broker = await FaultBroker.start(fileURLToPath(new URL('../../dist/presets/bin.js', import.meta.url)), folder, args)
const browser = await Browser.start()
const sockets: Socket[] = []
const wait = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** One connection, whose CONNACK has come. */
function opened(i: number): Promise<void> {
  const socket = connect(broker.port, '127.0.0.1')
  sockets.push(socket)
  const clientId = `meter-${String(i).padStart(5, '0')}`
  const given = { bridge: false, version: 5, clientId, cleanStart: true, keepAlive: 0, will: undefined, username: undefined } as const
  socket.write(encodePacket({ type: PacketType.Connect, ...given, password: undefined, properties: undefined }, 5))
  return new Promise((resolve, reject) => socket.once('data', () => resolve()).once('error', reject))
}

/** Processor time of the broker for a while, in percent of a core. */
async function percent(): Promise<number> {
  const ticks = (): number => {
    const fields = readFileSync(`/proc/${broker.pid}/stat`, 'latin1').split(') ')[1]!.split(' ')
    return Number(fields[11]) + Number(fields[12])
  }
  await wait(3000)
  const [before, at] = [ticks(), performance.now()]
  await wait(seconds * 1000)
  return ((ticks() - before) / ticksPerSecond / ((performance.now() - at) / 1000)) * 100
}

try {
  for (let i = 0; i < clients; i += 100) await Promise.all(Array.from({ length: 100 }, (_, at) => opened(i + at)))
  const closed = [await percent()]
  await browser.look(sizes[0]!, 'light')
  const { json } = await typed('page --json --socket admin.sock', { folder })
  await browser.open(String(json.url))
  await browser.until(`document.querySelector('main h1')?.innerText === 'Overview'`)
  const open = await percent()

  await browser.evaluate(
    `window.tasks = []; new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(one => one.duration))).observe({ type: 'longtask' }); location.hash = '#/clients'; true`,
  )
  await browser.until(`document.querySelectorAll('.virtual-row').length > 10`)
  await browser.until(
    `(document.querySelector('.virtual-frame').scrollTop += 20000, document.querySelector('.virtual-foot').innerText === '${clients.toLocaleString('en-GB')} shown')`,
    120_000,
  )
  await browser.evaluate(`[...document.querySelectorAll('[role=columnheader] button')].at(-1)?.click()`)
  await wait(2000)
  await browser.evaluate(
    `{ const input = document.querySelector('input[aria-label="Part of a client id"]'); Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, '0999'); input.dispatchEvent(new Event('input', { bubbles: true })) }`,
  )
  await wait(2000)
  const tasks = await browser.evaluate<number[]>('window.tasks')
  await browser.open('about:blank')
  closed.push(await percent())

  const [before, after] = closed as [number, number]
  console.log(
    `broker, nobody looks: ${before.toFixed(2)} % of a core; with the overview open: ${open.toFixed(2)} %; nobody looks: ${after.toFixed(2)} %`,
  )
  console.log(`the page's part: ${(open - Math.min(before, after)).toFixed(2)} % (wanted: below 3)`)
  console.log(
    `tasks of 50 ms and more: ${tasks.length}; the longest: ${Math.max(0, ...tasks).toFixed(0)} ms (wanted: at most 100; 0: none had 50)`,
  )
} finally {
  for (const socket of sockets) socket.destroy()
  await browser.stop()
  await broker.kill()
  rmSync(folder, { recursive: true, force: true })
}
