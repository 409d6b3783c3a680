import { OperatorError } from '../../core/errors.ts'
import { createClient, type Options, placeOf } from './client-options.ts'
import { reasonOf } from './link.ts'

/** Looks whether Redis is there and fit for what is to be kept in it; rejects with the cure. */
export async function probeRedis(options: Options): Promise<string> {
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
    // Asked of any one node of a cluster: they are set up alike.
    const info = String(await client.call('INFO'))
    const field = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? ''
    const policy = field('maxmemory_policy')
    const warning =
      policy === '' || policy === 'noeviction'
        ? ''
        : `; it evicts keys when it is full (maxmemory-policy ${policy}): set noeviction, or sessions get lost`
    return `Redis at ${text} answers: version ${field('redis_version')}, append-only file ${field('aof_enabled') === '1' ? 'on' : 'off'}${warning}`
  } catch (error) {
    throw new OperatorError('ERR_REDIS_AWAY', `${key}: Redis at ${text} is away: ${reasonOf(error as Error, options)}`, { cause: error })
  } finally {
    client.disconnect()
  }
}
