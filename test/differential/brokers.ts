import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { freePort } from '../support/redis.ts'

/** A broker that scripts are played against. */
export interface Started {
  readonly port: number
  stop(): Promise<void>
}

// What both are told: mosquitto's own bounds.
const receiveMaximum = 20
const topicAliasMaximum = 10
const maximumPacketSize = 100_000

/** The real mosquitto, 2.0 or later. */
export async function startMosquitto(): Promise<Started> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'mqttx-differential-'))
  const file = join(folder, 'mosquitto.conf')
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'set_tcp_nodelay true',
    `max_inflight_messages ${receiveMaximum}`,
    `max_packet_size ${maximumPacketSize}`,
  ]
  await writeFile(file, `${[...lines, 'log_type information', 'connection_messages false', 'sys_interval 0'].join('\n')}\n`)
  const child = spawn('mosquitto', ['-c', file], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  await new Promise<void>((resolve, reject) => {
    child.on('error', ({ code, message }: NodeJS.ErrnoException) =>
      reject(new Error(code === 'ENOENT' ? 'mosquitto is missing: run  sudo apt-get install mosquitto' : message)),
    )
    child.on('exit', () => reject(new Error(`mosquitto ended: ${log}`)))
    child.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk).slice(-10_000)
      if (/ running$/m.test(log)) resolve()
    })
  })
  return {
    port,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      await rm(folder, { recursive: true })
    },
  }
}

/** This broker, in this process, on a real socket. */
export async function startOurs(prepare: (broker: RunningBroker) => void = () => {}): Promise<Started> {
  const broker = await createBroker({
    preset: 'test',
    log: { level: 'silent' },
    socket: { port: 0 },
    mqtt: { receiveMaximum, topicAliasMaximum, maximumPacketSize },
  }).start()
  prepare(broker)
  return { port: broker.port, stop: () => broker.stop() }
}
