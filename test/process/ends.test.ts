import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { eventually } from '../support/eventually.ts'
import { Command } from './command.ts'
import { Lines } from './unread.ts'

// Goal: a broker that was told to stop is gone, whatever it was started by; and one whose starter has gone without telling it stops.

const built = beforeAllBuilt()

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** A folder in which npm finds the command, as where the package is installed. */
async function npmFolder(files: Record<string, string> = {}): Promise<string> {
  const folder = await folderWith({ 'package.json': '{ "name": "user", "version": "1.0.0", "private": true }', ...files })
  const bin = join(folder, 'node_modules/.bin')
  await mkdir(bin, { recursive: true })
  const command = `#!/bin/sh\nexec ${process.execPath} ${built.path('presets/bin.js')} "$@"\n`
  await writeFile(join(bin, 'mqttx-broker'), command, { mode: 0o755 })
  return folder
}

// Says its process id, so that a test can find the broker behind npm and a shell.
const told = `export default { name: 'told', apply({ log }) { return { listen: () => ['process ' + process.pid] } } }`
const config = `export default { preset: 'test', socket: { port: 0 }, plugins: ['./told.mjs'] }`
const files = { 'told.mjs': told, 'mqttx.config.mjs': config }

function lines(child: ReturnType<typeof spawn>): Lines {
  onTestFinished(() => void child.kill('SIGKILL'))
  const read = new Lines(child.stdout!)
  read.read()
  return read
}

async function pidIn(out: Lines): Promise<number> {
  const pid = Number((await out.line(/process (\d+)/))[1])
  onTestFinished(() => {
    if (isThere(pid)) process.kill(pid, 'SIGKILL')
  })
  await out.line(/ready: mqttx-broker/)
  return pid
}

test('a worker of node:cluster ends at SIGTERM', async () => {
  const primary = `
import cluster from 'node:cluster'
cluster.setupPrimary({ exec: ${JSON.stringify(built.path('presets/bin.js'))}, args: ['--preset', 'test', '--port', '0'] })
const worker = cluster.fork()
worker.once('listening', () => worker.process.kill('SIGTERM'))
worker.on('exit', (code, signal) => console.log('worker ended with', code, signal))
`
  const folder = await folderWith({ 'primary.mjs': primary })
  const primaryProcess = new Command(join(folder, 'primary.mjs'), folder, [])
  await primaryProcess.line(/^INFO: stopped$/)
  await primaryProcess.line(/^worker ended with 0 null$/)
})

test('a plugin that leaves a timer behind does not keep a broker that has stopped', async () => {
  const forgetful = `export default { name: 'forgetful', apply() { setInterval(() => {}, 1000) } }`
  const folder = await folderWith({ 'forgetful.mjs': forgetful })
  const args = ['--preset', 'test', '--port', '0', '--set', 'plugins=["./forgetful.mjs"]']
  const broker = new Command(built.path('presets/bin.js'), folder, args)
  await broker.ready()
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  expect(broker.out.at(-1)).toBe('INFO: stopped')
})

test.each(['SIGKILL', 'SIGTERM'] as const)('a broker whose npx is killed by %s stops in good order', async signal => {
  const npx = spawn('npx', ['mqttx-broker'], { cwd: await npmFolder(files), stdio: ['ignore', 'pipe', 'inherit'] })
  const out = lines(npx)
  const pid = await pidIn(out)
  const port = Number((await out.line(/tcp listening on .*:(\d+)/))[1])
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0 })
  const told = new Promise(resolve => client.on('disconnect', ({ reasonCode }) => resolve(reasonCode)))
  npx.kill(signal)
  expect(await told).toBe(0x8b)
  await out.line(/INFO.*: stopped/)
  await eventually(() => !isThere(pid))
})

test('a broker that npm has started and left behind, as a daemon, goes on', async () => {
  // npm ends when its shell does; the broker is nobody's then.
  const daemon = `nohup setsid mqttx-broker > out 2>&1 &`
  const folder = await npmFolder({ ...files, 'package.json': JSON.stringify({ name: 'user', private: true, scripts: { daemon } }) })
  const npm = spawn('npm', ['run', 'daemon'], { cwd: folder, stdio: 'ignore' })
  await once(npm, 'exit')
  const tail = spawn('tail', ['-n', '+1', '-F', join(folder, 'out')], { stdio: ['ignore', 'pipe', 'ignore'] })
  const out = lines(tail)
  const pid = await pidIn(out)
  const port = Number((await out.line(/tcp listening on .*:(\d+)/))[1])
  // Long enough for several looks: the broker itself says when they are over.
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, keepalive: 1 })
  onTestFinished(() => void client.end(true))
  for (let pings = 0; pings < 2; pings++) await new Promise(resolve => client.once('packetreceive', resolve))
  expect(isThere(pid)).toBe(true)
  process.kill(pid, 'SIGTERM')
  await out.line(/INFO.*: stopped/)
  expect(out.all.filter(line => /npm process/.test(line))).toEqual([])
})
