import type { TapFacts } from '../../../core/hooks.ts'

/** A tap as the hook has it, with what it says of itself. */
export interface LookedTap extends TapFacts {
  readonly name: string
  readonly fn: (...args: unknown[]) => unknown
}

/** What one tap of a deciding hook would answer. */
export interface TapLook {
  /** The plugin. */
  readonly name: string
  /** It says that it is pure, so it was asked. */
  readonly asked: boolean
  /** Its answer; undefined: it has no objection, or was not asked. */
  readonly said: unknown
}

/** The taps of a hook, in the order in which they are called. */
export function tapsOf(hook: object): readonly LookedTap[] {
  return (hook as { readonly taps: readonly LookedTap[] }).taps
}

/** Asks those taps of a deciding hook that change nothing but what they are given; the others are named. */
export async function* lookAtTaps(hook: object, ...given: readonly unknown[]): AsyncGenerator<TapLook, void, undefined> {
  for (const { name, fn, pure } of tapsOf(hook)) {
    if (pure !== true) yield { name, asked: false, said: undefined }
    // Guarded taps of these hooks take a callback, whatever the way in which they were tapped.
    else yield { name, asked: true, said: await new Promise(done => fn(...given, (_error: unknown, answer: unknown) => done(answer))) }
  }
}
