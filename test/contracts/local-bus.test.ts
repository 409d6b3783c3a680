import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { LocalBus } from '../../plugins/local-bus/bus.ts'
import { Sequencer } from '../../plugins/local-bus/sequencer.ts'
import { type BusOwner, busContract } from './suite/index.ts'

const clock = new SystemClock()
let made: { readonly folder: string; readonly sequencer: Sequencer } | null = null

/** Buses of one process with a sequencer in it: what lies between them are the sockets that workers have. */
const owner: BusOwner = {
  name: 'on local sockets',
  async create(node) {
    if (made === null) {
      const folder = mkdtempSync(join(tmpdir(), 'mqttx-bus-'))
      made = { folder, sequencer: new Sequencer(clock) }
      await made.sequencer.listen(folder)
    }
    return new LocalBus(made.folder, node, clock, silentLog)
  },
  stop: bus => (bus as LocalBus).stop(),
  crash: bus => (bus as LocalBus).stop(true),
  dispose() {
    made?.sequencer.stop()
    if (made !== null) rmSync(made.folder, { recursive: true, force: true })
    made = null
  },
}

busContract({ describe, it }, owner)
