import { randomBytes } from 'node:crypto'
import { OperatorError } from '../../core/errors.ts'
import { type Options, placeOf } from './client-options.ts'
import type { Keys } from './keys.ts'
import { type Link, singleTag } from './link.ts'
import type { Command } from './operation.ts'
import type { RedisRefusals } from './refusals.ts'
import { sessionField, storedFormat } from './script/layout.ts'
import type { SlotWriters } from './slot-writers.ts'
import { slotCount, tagOf } from './slots.ts'
import { isRefusal } from './verdicts.ts'

// So many sessions are looked for where a mark is gone.
const sampleMax = 20

/**
 * Looks at what Redis holds before anything is read from it or written to it, after each connection: in which format, and whether it is still what was kept there. Of
 * that a mark tells: a value that is written where there is none, on each master of a Redis Cluster.
 */
export class StoreCheck {
  readonly #link: Link
  readonly #keys: Keys
  readonly #options: Options
  readonly #refusals: RedisRefusals
  // The marks that have been seen, by hash tag.
  readonly #marks = new Map<string, string>()
  #looking: Promise<void> | null = null
  /** Called when a mark is not there any more, or is another, and what was kept with it is gone, too: every key of which `isGone` says so. */
  onEmptied: (isGone: (key: string) => boolean) => void = () => {}
  /** Some sessions that ought to be there, the epoch of each where it is known. */
  sample: () => Iterable<{ readonly key: string; readonly epoch: number | null }> = () => []

  constructor({ link, keys, refusals }: SlotWriters, options: Options) {
    this.#link = link
    this.#refusals = refusals
    this.#keys = keys
    this.#options = options
  }

  /** Rejects with an `OperatorError` where a newer version has written there; with another error where Redis does not answer. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    await this.#checkFormat()
    const gone: string[] = []
    for (const tag of this.#tags()) {
      const mark = await this.#mark(tag)
      const before = this.#marks.get(tag)
      if (before !== undefined && before !== mark && (await this.#isEmptied(tag))) gone.push(tag)
      if (mark === null) this.#marks.delete(tag)
      else this.#marks.set(tag, mark)
    }
    if (gone.length === 0) return
    const masters = new Set(gone.map(tag => this.#link.masterOf(this.#keys.mark(tag))))
    this.onEmptied(key => masters.has(this.#link.masterOf(key)))
  }

  // A fail-over may have lost the mark alone, where it had been written just before: then most of the sessions are there.
  async #isEmptied(tag: string): Promise<boolean> {
    const master = this.#link.masterOf(this.#keys.mark(tag))
    const some: { readonly key: string; readonly epoch: number | null }[] = []
    for (const one of this.sample()) {
      if (this.#link.masterOf(one.key) === master) some.push(one)
      if (some.length === sampleMax) break
    }
    let there = 0
    for (const { key, epoch } of some) {
      const held = await this.#ask(key, ['hget', key, sessionField.epoch]).catch(nothingThere)
      if (held !== null && (epoch === null || Number(String(held)) === epoch)) there += 1
    }
    return there * 2 <= some.length
  }

  async #checkFormat(): Promise<void> {
    const key = this.#keys.format
    const held = Number(String((await this.#read(key)) ?? 0))
    if (held > storedFormat) {
      const { key: option, text } = placeOf(this.#options)
      throw new OperatorError(
        'ERR_REDIS_NEWER',
        `${option}: a newer version of mqttx-broker has written to Redis at ${text} (format ${held}; this version reads up to ${storedFormat}); start that version, or name another database`,
      )
    }
    if (held < storedFormat) await this.#ask(key, ['set', key, storedFormat]).catch(allowed)
  }

  // Those that are known, and one for each master that has none of them.
  #tags(): string[] {
    if (!this.#link.isCluster) return [singleTag]
    const tags = [...this.#marks.keys()]
    const marked = new Set(tags.map(tag => this.#link.masterOf(this.#keys.mark(tag))))
    for (let slot = 0; slot < slotCount && marked.size < this.#link.masters().length; slot++) {
      const tag = tagOf(slot)
      const master = this.#link.masterOf(this.#keys.mark(tag))
      if (master === null || marked.has(master)) continue
      marked.add(master)
      tags.push(tag)
    }
    return tags
  }

  /** The mark that stands, written just now where there was none; null: there is none, and Redis takes none just now. */
  async #mark(tag: string): Promise<string | null> {
    const key = this.#keys.mark(tag)
    let mark = await this.#read(key)
    if (mark === null) {
      await this.#ask(key, ['set', key, randomBytes(9).toString('base64url'), 'NX']).catch(allowed)
      mark = await this.#read(key)
    }
    return mark === null ? null : String(mark)
  }

  // What another program keeps under one of these names is in the way of nothing but itself.
  async #read(key: string): Promise<unknown> {
    try {
      return await this.#ask(key, ['get', key])
    } catch (error) {
      if (!isRefusal(error as Error)) throw error
      this.#refusals.refuse(error as Error, key)
      return null
    }
  }

  async #ask(key: string, command: Command): Promise<unknown> {
    const [reply] = await this.#link.send(key, [command], false)
    if (reply instanceof Error) throw reply
    return reply
  }
}

function nothingThere(error: Error): null {
  if (!isRefusal(error)) throw error
  return null
}

/** A Redis that can be read and not be written to just now is no reason not to begin: whoever writes will say so. */
function allowed(error: Error): void {
  if (!/^(OOM|MISCONF|READONLY|NOREPLICAS|NOPERM) /.test(error.message) && !isRefusal(error)) throw error
}
