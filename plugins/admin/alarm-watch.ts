import type { PluginContext } from '../../core/context.ts'
import { type Alarms, alarmsOf } from '../kit/alarms.ts'
import { LoopBusy } from './loop-busy.ts'

/** Looks at the alarms every few seconds: each that begins or ends is a line in the log, a figure, and a topic below `$SYS`. */
export class AlarmWatch {
  readonly #context: PluginContext
  readonly #alarms: Alarms
  #timer: { cancel(): void } | null = null
  #busy: LoopBusy | null = null

  constructor(context: PluginContext) {
    const { broker } = context
    this.#context = context
    this.#alarms = alarmsOf(broker)
    broker.figures.add({
      name: 'alarm',
      type: 'gauge',
      help: 'Whether an alarm is on, by its name.',
      read: () => {
        const active = new Set(this.#alarms.active.map(({ name }) => name))
        return this.#alarms.names.map(name => ({ value: active.has(name) ? 1 : 0, labels: { alarm: name }, sys: `alarms/${name}` }))
      },
    })
  }

  start(everyMs: number): void {
    const { broker, clock } = this.#context
    const busy = new LoopBusy(clock.now())
    this.#busy = busy
    alarmsOf(broker).watch('loopBusy', () => busy.said)
    this.#timer = this.#context.clock.every(everyMs, () => this.#look())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #look(): void {
    const { log, clock } = this.#context
    this.#busy?.look(clock.now())
    const { raised, cleared } = this.#alarms.look()
    for (const { name, text } of raised) log.warn({ alarm: name }, `alarm: ${text}`)
    for (const { name, text, since } of cleared) {
      const seconds = Math.round((clock.now() - since) / 1000)
      log.info({ alarm: name, seconds }, `alarm is over: ${text}`)
    }
  }
}
