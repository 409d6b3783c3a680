import { type Hooks, Stage } from '../../core/hooks.ts'

export type HookName = keyof Hooks

/** One call of one hook. */
export interface Call {
  readonly hook: HookName
  readonly args: readonly unknown[]
}

type Tappable = { tap(options: { name: string; stage: number }, fn: (...args: unknown[]) => unknown): void }

/** Notes each call of the hooks named, or of all, before anybody else's tap can answer. */
export function noteCalls(hooks: Hooks, ...names: HookName[]): Call[] {
  const calls: Call[] = []
  for (const hook of names.length > 0 ? names : (Object.keys(hooks) as HookName[])) {
    ;(hooks[hook] as unknown as Tappable).tap({ name: 'test', stage: Stage.Guard - 1 }, (...args) => {
      // Guarded taps are called with four arguments, however many the hook has.
      while (args.at(-1) === undefined) args.pop()
      calls.push({ hook, args })
      return undefined
    })
  }
  return calls
}
