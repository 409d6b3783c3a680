import { expect, test } from 'vitest'
import { catalogue, createBroker } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { configOfWorker } from '../../presets/shell/workers/config-of-worker.ts'
import type { FromWorker, ToWorker } from '../../presets/shell/workers/messages.ts'
import { Supervisor, type WorkerEvents } from '../../presets/shell/workers/supervisor.ts'
import { cpuQuota, workerCount } from '../../presets/shell/workers/worker-count.ts'
import { heapOptions } from '../../presets/shell/workers/worker-heap.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'

/** A worker that does what the test says. */
class FakeWorker {
  readonly told: ToWorker[] = []
  killed = false
  readonly #events: WorkerEvents

  constructor(events: WorkerEvents) {
    this.#events = events
  }

  say(message: FromWorker): void {
    this.#events.heard(message)
  }

  /** It has begun, and serves. */
  serve(ports: Record<string, number> = {}): void {
    this.say({ kind: 'here' })
    this.say({ kind: 'ready', ports })
  }

  end(how = 'code 1'): void {
    this.#events.ended(how)
  }

  get number(): number {
    return (this.told.find(({ kind }) => kind === 'begin') as { number: number }).number
  }

  get lines(): string[] {
    return this.told.flatMap(message => (message.kind === 'say' ? [message.text] : []))
  }
}

function supervised(count = 2) {
  const clock = new ManualClock()
  const forked: FakeWorker[] = []
  const said: string[] = []
  let gaveUp = 0
  const supervisor = new Supervisor(
    {
      clock,
      fork(events) {
        const worker = new FakeWorker(events)
        forked.push(worker)
        return {
          pid: forked.length,
          send: message => void worker.told.push(message),
          kill: () => {
            worker.killed = true
            worker.end('signal SIGKILL')
          },
        }
      },
      say: text => said.push(text),
      giveUp: () => (gaveUp += 1),
      stopped: () => void said.push('stopped'),
    },
    { count, argv: [], ticketKeys: '', folder: '/nowhere', sharing: 'roundRobin', clockZero: 0 },
  )
  return { clock, forked, said, supervisor, gaveUp: () => gaveUp }
}

async function running(count = 2) {
  const world = supervised(count)
  const started = world.supervisor.start()
  world.forked[0]!.serve({ socket: 1883 })
  await Promise.resolve()
  await Promise.resolve()
  for (const worker of world.forked.slice(1)) worker.serve()
  await started
  return world
}

test('the first worker comes alone, and the others get the ports that it has', async () => {
  const { supervisor, forked } = supervised(3)
  const started = supervisor.start()
  expect(forked).toHaveLength(1)
  forked[0]!.serve({ socket: 40_000 })
  await Promise.resolve()
  await Promise.resolve()
  expect(forked).toHaveLength(3)
  for (const worker of forked.slice(1)) worker.serve()
  await started
  expect(forked[2]!.told[0]).toMatchObject({ kind: 'begin', number: 3, count: 3, ports: { socket: 40_000 } })
})

test('what the first worker says of the config is what the start rejects with, and nobody is left', async () => {
  const { supervisor, forked } = supervised()
  const started = supervisor.start()
  forked[0]!.say({ kind: 'here' })
  forked[0]!.say({ kind: 'failed', code: 'ERR_PORT_IN_USE', problems: ['socket.port: 1883 is in use'], stack: '' })
  forked[0]!.end()
  await expect(started).rejects.toMatchObject({ code: 'ERR_PORT_IN_USE', problems: ['socket.port: 1883 is in use'] })
  expect(forked).toHaveLength(1)
})

test('a worker that dies is started again under its number; five deaths in a minute end the broker', async () => {
  const { supervisor, forked, clock, said, gaveUp } = await running()
  forked[1]!.end('signal SIGKILL')
  expect(forked[0]!.lines).toEqual(['worker 2 has ended (signal SIGKILL) and is started again'])
  forked[2]!.serve()
  expect(forked[2]!.number).toBe(2)
  expect(forked[0]!.lines.at(-1)).toBe('worker 2 serves again')
  // What is longer ago than a minute does not count.
  for (let second = 0; second < 61; second++) {
    for (const worker of forked) worker.say({ kind: 'alive' })
    await clock.advance(1000)
  }
  for (let i = 0; i < 4; i++) {
    for (const worker of forked) worker.say({ kind: 'alive' })
    forked.at(-1)!.end()
    forked.at(-1)!.serve()
  }
  expect(gaveUp()).toBe(0)
  forked.at(-1)!.end()
  await new Promise(resolve => setImmediate(resolve))
  expect([gaveUp(), supervisor.workers.size]).toEqual([1, 0])
  expect(said.join()).toContain('5 workers within 60 s')
})

test('a worker without a sign of life is killed and replaced; one whose supervisor was away itself is not', async () => {
  const { forked, clock } = await running()
  for (let second = 0; second < 9; second++) {
    forked[0]!.say({ kind: 'alive' })
    await clock.advance(1000)
  }
  expect(forked.map(({ killed }) => killed)).toEqual([false, false])
  for (let second = 0; second < 2; second++) {
    forked[0]!.say({ kind: 'alive' })
    await clock.advance(1000)
  }
  expect(forked.map(({ killed }) => killed)).toEqual([false, true, false])
  forked[2]!.serve()
  expect(forked[2]!.number).toBe(2)
})

test('all are told to read the config again but the one that was asked; the first stops last', async () => {
  const { supervisor, forked, said } = await running(3)
  const rereads = () => forked.map(({ told }) => told.filter(({ kind }) => kind === 'reread').length)
  supervisor.reread()
  expect(rereads()).toEqual([1, 1, 1])
  forked[1]!.say({ kind: 'reread' })
  expect(rereads()).toEqual([2, 1, 2])
  const stopped = supervisor.stop()
  const stops = () => forked.map(({ told }) => told.some(({ kind }) => kind === 'stop'))
  expect(stops()).toEqual([false, true, true])
  forked[1]!.end('code 0')
  forked[2]!.end('code 0')
  await new Promise(resolve => setImmediate(resolve))
  expect(stops()).toEqual([true, true, true])
  expect(said).toEqual([])
  forked[0]!.end('code 0')
  await stopped
  expect([forked.length, said]).toEqual([3, ['stopped']])
})

test("'auto' is the quota of the cgroup or the cores, whichever is less", () => {
  const files = (found: Record<string, string>) => (file: string) => {
    const text = found[file]
    if (text === undefined) throw new Error('ENOENT')
    return text
  }
  expect(cpuQuota(files({}))).toBe(Number.POSITIVE_INFINITY)
  expect(cpuQuota(files({ '/sys/fs/cgroup/cpu.max': 'max 100000\n' }))).toBe(Number.POSITIVE_INFINITY)
  expect(cpuQuota(files({ '/sys/fs/cgroup/cpu.max': '250000 100000\n' }))).toBe(2.5)
  expect(cpuQuota(files({ '/sys/fs/cgroup/cpu.max': '50000 100000\n' }))).toBe(1)
  const nested = { '/proc/self/cgroup': '0::/system.slice/mqttx.service\n', '/sys/fs/cgroup/system.slice/cpu.max': '300000 100000' }
  expect(cpuQuota(files(nested))).toBe(3)
  const old = { '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '400000', '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000' }
  expect(cpuQuota(files(old))).toBe(4)
  expect([workerCount(3), workerCount('auto') >= 1]).toEqual([3, true])
})

test('the workers share the heap that one process would have', () => {
  const gib = 1024 ** 3
  expect(heapOptions(['--enable-source-maps'], 4, 4 * gib)).toEqual(['--enable-source-maps', '--max-old-space-size=1024'])
  expect(heapOptions(['--max-old-space-size=8000', '--inspect'], 2, 8 * gib)).toEqual(['--inspect', '--max-old-space-size=4096'])
  expect(heapOptions(['--max-old-space-size', '8000'], 2, gib)).toEqual(['--max-old-space-size=512'])
})

test('a worker has its share of what the broker may have in all', async () => {
  const object = { preset: 'test', workers: 4, limits: { maxConnections: 10, connectsPerSecond: 8, memory: { max: '400MiB' } } } as const
  const config = await resolveConfig(catalogue, { object })
  const of = (number: number) =>
    configOfWorker(config, { number, count: 4 }).plugins.find(({ name }) => name === 'limits')!.options as {
      maxConnections: number
      connectsPerSecond: number
      memory: { max: number }
    }
  expect([1, 2, 3, 4].map(number => of(number).maxConnections)).toEqual([3, 3, 2, 2])
  expect([of(4).connectsPerSecond, of(4).memory.max]).toEqual([2, 100 * 1024 ** 2])
  expect(configOfWorker(config, { number: 3, count: 4 }).settings.brokerId).toBe('1/3')
  expect(configOfWorker(config, { number: 3, count: 4 }).plugins.some(({ name }) => name === 'admin')).toBe(false)
})

test('a program cannot have workers in its own process, and is told so', async () => {
  await expect(createBroker({ preset: 'test', workers: 2 }).start()).rejects.toMatchObject({ code: 'ERR_WORKERS_CONFIG' })
})
