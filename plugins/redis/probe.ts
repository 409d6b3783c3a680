import { Cluster } from 'ioredis'
import { OperatorError } from '../../core/errors.ts'
import { createClient, type Options, placeOf } from './client-options.ts'
import type { Keys } from './keys.ts'
import { reasonOf } from './link.ts'
import { persistenceOf } from './persistence.ts'
import { missingRights, rightsError } from './rights.ts'
import { differenceText } from './store-time.ts'

/** Looks whether Redis is there and fit for what is to be kept in it; rejects with the cure. */
export async function probeRedis(options: Options, keys: Keys, isNode: boolean): Promise<string> {
  const { key, text } = placeOf(options)
  const client = createClient(options)
  let last: Error | null = null
  client.on('error', (error: Error) => {
    last = error
  })
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('ready', resolve)
      client.once('close', () => reject(last ?? new Error('no connection')))
      client.connect().catch(error => reject(last ?? error))
      setTimeout(() => reject(last ?? new Error('Command timed out')), options.connectTimeout + options.commandTimeout).unref()
    })
    const missing = await missingRights((name, ...parts) => client.call(name, ...parts), options, keys, isNode)
    if (missing.length > 0) throw rightsError(options, missing)
    const info = String(await client.call('INFO').catch(() => ''))
    const field = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? 'unknown'
    const found: string[] = []
    for (const master of client instanceof Cluster ? client.nodes('master') : [client]) {
      const { warnings, notes } = await persistenceOf((name, ...parts) => master.call(name, ...parts))
      const where = client instanceof Cluster ? `${master.options.host}:${master.options.port}: ` : ''
      found.push(...[...(options.acceptVolatile ? [] : warnings), ...notes].map(text => `${where}${text}`))
    }
    const [seconds, micros] = ((await client.call('TIME')) as unknown[]).map(Number) as [number, number]
    const differenceMs = Date.now() - (seconds * 1000 + micros / 1000)
    found.unshift(Math.abs(differenceMs) < 1000 ? 'clocks agree' : `${differenceText(differenceMs)}: set up NTP on both`)
    const aof = field('aof_enabled') === '1' ? 'on' : field('aof_enabled') === '0' ? 'off' : 'unknown'
    return [`Redis at ${text} answers: version ${field('redis_version')}, append-only file ${aof}`, ...found].join('; ')
  } catch (error) {
    if (error instanceof OperatorError) throw error
    throw new OperatorError('ERR_REDIS_AWAY', `${key}: Redis at ${text} is away: ${reasonOf(error as Error, options)}`, { cause: error })
  } finally {
    client.disconnect()
  }
}
