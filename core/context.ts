import type { Broker } from './broker.ts'
import type { Hooks } from './hooks.ts'
import type { Log } from './log.ts'
import type { OptionsSchema } from './options/options.ts'
import type { Revoked } from './publisher.ts'
import type { Services } from './services.ts'
import type { Clock } from './time/clock.ts'
import type { WorkerPlace } from './worker-place.ts'

/** What a plugin is handed when it is applied. */
export interface PluginContext {
  /** Everything that happens; tap what you need. */
  readonly hooks: Hooks
  /** What one plugin owns and others use: `sessions`, `retained`, `log`… */
  readonly services: Services
  /** Who is connected, and `publish` in the broker's own name. */
  readonly broker: Broker
  /**
   * Takes a user or a client away, in a cluster at all nodes: connections are closed (0x87), wills are not sent, sessions end, those without a connection too.
   * `keepSession` (default false): sessions and wills stay, for a user that is still there but has to authenticate anew. Returns how many connections of this
   * node were closed.
   */
  revoke(whom: Revoked, options?: { readonly keepSession?: boolean }): number
  /** Which worker of the broker this process is; null: it is the whole broker (`workers: 1`). */
  readonly worker: WorkerPlace | null
  /** The log. Lines of `apply` are written when the log has started. */
  readonly log: Log
  /**
   * Something of the plugin's failed that no client is to blame for, in a timer, say, or in a promise that nobody awaits: a line at `error` that names the plugin, at most a
   * few a second, and `onError`. What waits for it, the plugin has to see to.
   */
  report(error: unknown): void
  /** Where the plugin's options stand in the config, for what it says of them: `socket`, `socket[1]`. */
  readonly at: string
  /**
   * Checks options by their schema. Returns them complete, with defaults filled in, and frozen; throws an `OperatorError` that lists all that is
   * wrong. `at`: where they stand in the config, for what is said of them.
   */
  checkOptions(schema: OptionsSchema, given: object, at: string): object
  /**
   * Makes a hook safe that the plugin brings along and that tells what has happened: a tap that fails is reported by its name, and harms nobody else.
   * `name` is what messages and figures call it. Returns the hook.
   */
  guardHook<H extends object>(name: string, hook: H): H
  /** Time, turns of the event loop and chance, which tests decide about: use it in place of `Date.now`, `setTimeout`, `setImmediate` and `randomBytes`. */
  readonly clock: Clock
}
