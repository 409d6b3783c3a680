import assert from 'node:assert/strict'
import { definePlugin, type Plugin } from '../../../core/plugin.ts'
import {
  type BridgeHeader,
  type BridgeRecord,
  type BridgeSender,
  type BridgeTarget,
  type BridgeTargets,
  RecordsRefusedError,
  TargetAwayError,
} from '../../../plugins/kit/services/bridge-target.ts'
import { createTestBroker, type TestBroker } from '../../../presets/testing/index.ts'
import { soon } from './soon.ts'

/** What a system may not keep of a record. */
export type TargetFeature = 'key' | 'headers' | 'timestamp'

/** A record as the system has kept it. What the system does not keep is left out. */
export interface KeptRecord {
  /** The payload. */
  readonly value: Buffer
  /** The record's key. */
  readonly key?: string
  /** Headers in the order in which they were given, by name and value: one that comes several times stands there several times. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  /** Milliseconds since the Unix epoch. */
  readonly timestamp?: number
}

/** A target of bridges that is to be proven, with the system that stands behind it. */
export interface TargetOwner {
  /** Completes "a bridge target …". */
  readonly name: string
  /** What the system does not keep: said in the titles. Default: nothing. */
  readonly lacks?: readonly TargetFeature[]
  /** The plugin that adds the target to the service `bridge`, or the target itself: a new one for each test. */
  create(): Plugin | BridgeTarget | Promise<Plugin | BridgeTarget>
  /** Makes a place in the system for records, which no other test has, and returns its name. */
  place(): string | Promise<string>
  /** All that the system has at a place, oldest first, read by another way than the target's. */
  read(place: string): Promise<readonly KeptRecord[]>
  /**
   * Takes the system away in the midst of traffic, and returns what brings it back with what it had kept. Left out where nobody can; with it, the suite asks for
   * `TargetAwayError`.
   */
  away?(): Promise<() => Promise<void>>
  /** Makes a place that the system never takes records for, and returns its name. Left out where there is none; with it, the suite asks for `RecordsRefusedError`. */
  refusing?(): string | Promise<string>
  /** Called when a test has ended. */
  dispose?(): void | Promise<void>
}

const retryMs = 100
const attemptsMax = 6

/** One test's own target, and what the bridge does with it. */
export class TargetHarness {
  readonly owner: TargetOwner
  target!: BridgeTarget
  readonly #senders: BridgeSender[] = []
  #broker: TestBroker | null = null
  /** What each `send` of `deliver` was rejected with, in order. */
  readonly errors: Error[] = []
  #number = 0

  constructor(owner: TargetOwner) {
    this.owner = owner
  }

  async create(): Promise<void> {
    const made = await this.owner.create()
    this.target = 'apply' in made ? await this.#added(made) : made
  }

  /** The target that a plugin adds to the service `bridge`. */
  async #added(plugin: Plugin): Promise<BridgeTarget> {
    let added: BridgeTarget | undefined
    const catcher = definePlugin({
      name: 'contract',
      provides: ['bridge'],
      apply({ services }) {
        const bridge = { add: (target: BridgeTarget) => void (added ??= target), parked: () => null }
        services.provide('bridge', bridge as Partial<BridgeTargets> as BridgeTargets, 'contract')
      },
    })
    this.#broker = await createTestBroker({ plugins: [catcher(), plugin] }, { clock: 'real' })
    assert.ok(added !== undefined, `${plugin.name} adds its target to the service bridge, in apply`)
    return added
  }

  sender(): BridgeSender {
    const sender = this.target.createSender()
    this.#senders.push(sender)
    return sender
  }

  /** A record for a place, with a number of its own as its payload. */
  record(topic: string, fields: Partial<BridgeRecord> = {}): BridgeRecord {
    const number = this.#number++
    const headers = headersOf([['number', String(number)]])
    return { topic, key: 'one key', value: Buffer.from(`record ${number}`), headers, timestamp: Date.UTC(2026, 0, 1) + number, ...fields }
  }

  records(topic: string, count: number, fields: Partial<BridgeRecord> = {}): BridgeRecord[] {
    return Array.from({ length: count }, () => this.record(topic, fields))
  }

  send(sender: BridgeSender, records: readonly BridgeRecord[]): Promise<void> {
    return soon(sender.send(records), 'send')
  }

  /** Sends until each record has been taken or refused, as a bridge does; returns those that were refused. */
  async deliver(sender: BridgeSender, records: readonly BridgeRecord[]): Promise<BridgeRecord[]> {
    const refused: BridgeRecord[] = []
    const parts: (readonly BridgeRecord[])[] = [records]
    let attempts = 0
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      try {
        await this.send(sender, part)
        attempts = 0
      } catch (error) {
        this.errors.push(error as Error)
        if (error instanceof RecordsRefusedError) {
          const indexes = new Set(part.length === 1 ? [0] : error.indexes)
          for (const index of indexes) {
            assert.ok(part[index] !== undefined, `RecordsRefusedError: there is no record ${index} among ${part.length}`)
            refused.push(part[index])
          }
          const half = part.length >> 1
          if (indexes.size === 0) parts.unshift(part.slice(0, half), part.slice(half))
          else if (indexes.size < part.length) parts.unshift(part.filter((_record, index) => !indexes.has(index)))
          continue
        }
        attempts += 1
        if (!(error instanceof TargetAwayError) && attempts >= attemptsMax) throw error
        parts.unshift(part)
        await new Promise(resolve => setTimeout(resolve, retryMs))
      }
    }
    return refused
  }

  /** The payloads at a place, as text, each once: those of repeats are left out. */
  async values(place: string): Promise<string[]> {
    return [...new Set((await this.owner.read(place)).map(({ value }) => String(value)))]
  }

  async dispose(): Promise<void> {
    try {
      for (const sender of this.#senders) await soon(sender.close(), 'close of a sender')
      await soon(Promise.resolve(this.target?.close?.()), 'close of the target')
    } finally {
      await this.#broker?.stop()
      await this.owner.dispose?.()
    }
  }
}

/** Headers as a bridge gives them: without a prototype. */
export function headersOf(entries: readonly (readonly [string, BridgeHeader])[]): BridgeRecord['headers'] {
  const headers = Object.create(null) as Record<string, BridgeHeader>
  for (const [name, value] of entries) headers[name] = value
  return headers
}
