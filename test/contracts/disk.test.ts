import type { RetainedStore } from '../../core/routing/retained.ts'
import type { SessionStore } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { TestDisk } from '../support/disk.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'

const disks = new Map<SessionStore | RetainedStore, TestDisk>()

function owner<S extends SessionStore | RetainedStore>(service: (disk: TestDisk) => S) {
  const known = (disk: TestDisk): S => {
    disks.set(service(disk), disk)
    return service(disk)
  }
  return {
    create: async (clock: Clock) => known(await new TestDisk(clock).open()),
    async reopen(store: S): Promise<S> {
      const disk = disks.get(store)!
      await disk.crash()
      return known(disk)
    },
    dispose: (store: S) => disks.get(store)!.dispose(),
  }
}

const sessions = owner(disk => disk.store.sessions as SessionStore)
const retained = owner(disk => disk.store.retained as RetainedStore)
sessionsContract('on disk', sessions.create, sessions)
retainedContract('on disk', retained.create, retained)
