import type { SessionStore } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { RetainedStore } from '../../plugins/kit/services/retained.ts'
import type { State } from '../../plugins/kit/services/state.ts'
import { TestDisk } from '../support/disk.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'
import { stateContract } from './state.ts'

type Owned = SessionStore | RetainedStore | State

const disks = new Map<Owned, TestDisk>()

function owner<S extends Owned>(service: (disk: TestDisk) => S) {
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
const state = owner(disk => disk.store.state as State)
sessionsContract('on disk', sessions.create, sessions)
retainedContract('on disk', retained.create, retained)
stateContract('on disk', state.create, state)
