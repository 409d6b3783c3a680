import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { eventually } from '../support/eventually.ts'
import { WorkersBroker } from './workers-broker.ts'

const built = beforeAllBuilt()
let broker: WorkersBroker

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mqttx-handed-'))
  const args = ['--preset', 'test', '--set', 'workers=2', '--set', 'admin.enable=true', '--set', 'metrics.port=0']
  broker = await WorkersBroker.start(built.path('presets/bin.js'), folder, args)
}, 60_000)

afterAll(async () => {
  await broker?.stop()
  if (broker !== undefined) await rm(broker.folder, { recursive: true, force: true })
})

test('a connection that a worker was handed and did not take before it died is closed, or served by another', async () => {
  const workers = [...(await broker.workers()).values()]
  for (const pid of workers) process.kill(pid, 'SIGSTOP')
  const clients = Array.from({ length: 6 }, () => broker.open())
  await eventually(() => clients.every(({ stream }) => !(stream as unknown as { connecting: boolean }).connecting))
  for (const [i, client] of clients.entries()) client.sendConnect({ clientId: `handed-${i}` })
  for (const pid of workers) process.kill(pid, 'SIGKILL')
  await eventually(() => clients.every(({ heard, isClosed }) => isClosed || heard.length > 0))
  await broker.line(/worker 1 serves again/)
  await broker.line(/worker 2 serves again/)
  expect((await broker.workers()).size).toBe(2)
})
