import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { noEvents, noLimits, type OpenedStore, steadyShift } from '../kit/copies/opened-store.ts'
import { checkOptions } from '../kit/options/validation.ts'
import { SystemClock } from '../kit/system-clock.ts'
import { databaseOf, type Options, placeOf, withFiles } from './client-options.ts'
import { Keys } from './keys.ts'
import { Link } from './link.ts'
import { redisManifest } from './manifest.ts'
import type { Command } from './operation.ts'
import { RedisRetained } from './retained.ts'
import { missingRights, rightsError } from './rights.ts'
import { RedisSessions } from './sessions.ts'
import { SlotWriters } from './slot-writers.ts'
import { RedisState } from './state.ts'
import { StoreCheck } from './store-check.ts'

// A broker says every five seconds that it lives, and one that is stopped in order takes that back.
const livesMs = 12_000
const scanCount = 1000

/**
 * Opens what brokers keep in Redis, without one: all of them must have been stopped, which their signs of life tell. `given`: the options of the plugin `redis`, files relative to
 * `folder`. What stands in the way is an `OperatorError`.
 */
export async function openRedisStore(given: object, folder: string, log: Log): Promise<OpenedStore> {
  const options = withFiles(checkOptions(redisManifest.options, { ...given, startup: 'fail' }, 'redis') as Options, folder)
  const clock = new SystemClock()
  const keys = new Keys({ ...options, database: databaseOf(options) })
  const link = new Link(options, log, clock)
  const writers = new SlotWriters(link, keys, clock, options, log)
  // No broker has this name, so none of its sessions is taken for this one's.
  const sessions = new RedisSessions(writers, clock, log, `copy-${clock.random(6).toString('hex')}`)
  const retained = new RedisRetained(sessions.writes, clock, log)
  const state = new RedisState(sessions.writes, clock)
  const check = new StoreCheck(writers, options)
  writers.recheck = () => check.look()
  const admit = async (): Promise<void> => {
    await check.look()
    await writers.time.look()
    writers.time.shift = steadyShift(writers.time.shift)
  }
  link.use({ admit, ready: () => writers.resume(), interrupted: error => writers.interrupted(error) })
  const close = async (): Promise<void> => {
    await sessions.flush()
    state.table.stop()
    writers.stop()
    link.stop()
  }
  try {
    await link.start()
    const missing = await missingRights((name, ...parts) => link.call(name, ...parts), options, keys, false)
    if (missing.length > 0) throw rightsError(options, missing)
    const { text } = placeOf(options)
    await checkAlone(link, keys, writers.time.now(), text)
    sessions.open(noEvents, noLimits)
    const connected: string[] = []
    for await (const { clientId, node } of sessions.sessions()) if (node != null) connected.push(clientId)
    await retained.load()
    await state.look()
    const [keepsWills] = await link.send(keys.willRuns, [['exists', keys.willRuns]], false)
    const owed = [
      ...(connected.length > 0 ? [`${connected.length} sessions count as connected, ${connected[0]} for one`] : []),
      ...(keepsWills === 1 ? ['wills of clients that were connected to it are due'] : []),
    ]
    return { name: `Redis at ${text}`, owed, sessions, retained, state, close }
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}

// One that was killed looks for a while like one that lives.
async function checkAlone(link: Link, keys: Keys, now: number, place: string): Promise<void> {
  const newest = await newestSign(link, keys)
  if (newest === null || now - newest.at > livesMs) return
  throw new OperatorError(
    'ERR_COPY_STORE',
    `a broker runs on Redis at ${place} (node ${newest.node}), or was killed less than ${livesMs / 1000} s ago; stop all that run there, and try again`,
  )
}

interface Sign {
  readonly node: string
  readonly at: number
}

async function newestSign(link: Link, keys: Keys): Promise<Sign | null> {
  let newest: Sign | null = null
  for (const master of link.masters()) {
    let cursor = '0'
    do {
      const [page] = await link.ask(master, [['scan', cursor, 'match', keys.nodePattern, 'count', scanCount]])
      if (page instanceof Error) throw page
      const [next, found] = page as [Buffer, Buffer[]]
      cursor = next.toString()
      const names = found.map(String)
      const signs = await link.ask(
        master,
        names.map((name): Command => ['get', name]),
      )
      for (const [i, name] of names.entries()) {
        const at = Number(String(signs[i]))
        if (at > (newest?.at ?? 0)) newest = { node: keys.nodeOf(name), at }
      }
    } while (cursor !== '0')
  }
  return newest
}
