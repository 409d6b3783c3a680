import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type FaultOutcome, type FaultStore, killPoint, killRounds, randomFrom } from '../../fault/faults.ts'
import type { ContractRunner } from './runner.ts'

export type { FaultOutcome } from '../../fault/faults.ts'

/** A store that is to be there after `kill -9` of its broker: the plugin that owns it, as a broker in a process of its own loads it. */
export interface FaultOwner {
  /** Completes "a broker …". */
  readonly name: string
  /** The file of the plugin: an absolute path. It exports the plugin as its default, or nothing else. */
  readonly plugin: string
  /** The options of the plugin, for a store that holds nothing yet. `folder`: a new one, which stays as long as the store is used. */
  options(folder: string): object | Promise<object>
  /** Options of the broker's command besides: `['--set', 'mqtt.receiveMaximum=100']`. Default: `['--preset', 'test']`, with nothing but the store. */
  readonly args?: readonly string[]
  /** Makes what the store stands on fail in the midst of traffic, a database server say, and brings it back. Left out where there is none. */
  disturb?(kind: 'kill' | 'freeze'): Promise<void>
  /** Called when a store is used no more. */
  dispose?(): void | Promise<void>
}

/** How often, and when, the broker is killed. */
export interface FaultTerms {
  /** Kills in the midst of traffic, one round each. Default 3. */
  readonly rounds?: number
  /** Chance begins with this number: the same number, the same moments as far as the machine lets them be. Default: another one each time, which is named where something is wrong. */
  readonly seed?: number
  /** Of the points of one QoS 1 and one QoS 2 exchange, one of so many is tried; 1: each. Default 5. */
  readonly every?: number
  /** The program of the broker. Default: the one of this package. */
  readonly program?: string
}

/** The package's own, wherever its compiled files lie. */
const ownProgram = (): string => join(dirname(createRequire(import.meta.url).resolve('mqttx-broker/package.json')), 'dist/presets/bin.js')

/**
 * What acknowledgements promise, over `kill -9`: nothing acknowledged is lost, no QoS 2 message comes twice, what was in flight comes again with DUP in its order, sessions are there. The broker runs in a
 * process of its own, by the package's command. For any owner of `sessions`.
 */
export function faultContract({ describe, it }: ContractRunner, owner: FaultOwner, terms: FaultTerms = {}): void {
  describe(`a broker ${owner.name}`, () => {
    it('loses nothing that was acknowledged when it is killed in the midst of traffic', async () => none(await faultRounds(owner, terms)))
    it('goes on with whatever it was doing when it is killed behind a write to the store or to a socket', async () => {
      const { every = 5 } = terms
      for (let at = 1; ; at += every) {
        const outcome = await onStore(owner, store => killPoint({ program: programOf(terms), store }, at))
        if (outcome === null) {
          assert.ok(at > 10, `there were ${at - 1} points only`)
          return
        }
        none(outcome, `behind point ${at}`)
      }
    })
    if (owner.disturb === undefined) return
    for (const what of ['kill', 'freeze'] as const)
      it(`loses nothing that was acknowledged when what its store stands on dies or hangs: ${what}`, async () =>
        none(await faultRounds(owner, terms, what)))
  })
}

/** The rounds of `faultContract` by themselves, as many as you like: 4 publishers, 50 messages deep, at QoS 1 and 2, two readers, and a kill in the midst of each. */
export function faultRounds(
  owner: FaultOwner,
  terms: FaultTerms = {},
  what: 'broker' | 'kill' | 'freeze' = 'broker',
): Promise<FaultOutcome> {
  const { rounds = 3, seed = Date.now() % 2 ** 32 } = terms
  return onStore(owner, async store => {
    const { wrong, ...counts } = await killRounds({ program: programOf(terms), store }, { rounds, random: randomFrom(seed), what })
    return { ...counts, wrong: wrong.map(line => `${line} (seed ${seed})`) }
  })
}

function none({ wrong }: FaultOutcome, when = ''): void {
  assert.deepEqual(wrong, [], when)
}

async function onStore<T>(owner: FaultOwner, run: (store: FaultStore) => Promise<T>): Promise<T> {
  const { name, plugin, args = ['--preset', 'test', '--set', 'memory=false'], disturb } = owner
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-fault-store-'))
  try {
    const plugins = [[plugin, await owner.options(folder)]] as const
    return await run({ name, args, plugins, ...(disturb === undefined ? {} : { disturb: kind => owner.disturb!(kind) }), stop: () => {} })
  } finally {
    await owner.dispose?.()
    rmSync(folder, { recursive: true, force: true })
  }
}

function programOf({ program = ownProgram() }: FaultTerms): string {
  if (!existsSync(program)) throw new Error(`there is no broker at ${program}; build the package, or name another by program`)
  return program
}
