import type { Clock } from '../../core/time/clock.ts'
import { DiskParts } from '../support/disk-parts.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'
import { stateContract } from './state.ts'

const all = new Map<object, DiskParts>()

function owner<S extends object>(of: (disk: DiskParts) => S) {
  const known = (disk: DiskParts): S => {
    const store = of(disk)
    all.set(store, disk)
    return store
  }
  return {
    create: async (clock: Clock): Promise<S> => known(await DiskParts.start(clock)),
    async reopen(store: S): Promise<S> {
      const disk = all.get(store)!
      all.delete(store)
      await disk.restart()
      return known(disk)
    },
    async dispose(store: S): Promise<void> {
      await all.get(store)!.dispose()
      all.delete(store)
    },
  }
}

const sessions = owner(disk => disk.workers.store)
const retained = owner(disk => disk.workers.workers[1]!.retained)
const state = owner(disk => disk.workers.workers[1]!.state)
sessionsContract('on disk, in the parts of two workers', sessions.create, sessions)
retainedContract('on disk, in the first of two workers', retained.create, retained)
stateContract('on disk, in the first of two workers', state.create, state)
