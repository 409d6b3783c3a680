/** The hooks that a plugin taps; `core/hooks.ts` takes this place. */
export interface Hooks {
  readonly onPublish: {
    tap(
      options: string | { name: string; stage?: number },
      tap: (publisher: { readonly clientId: string }, message: { readonly topic: string }) => number | 'drop' | false | undefined,
    ): void
  }
}

/** The services that a plugin provides and uses; `core/services.ts` takes this place. */
export interface Services {
  has(name: string): boolean
}

/** The log; `core/log.ts` takes this place. */
export interface Log {
  info(message: string): void
  info(fields: object, message: string): void
}

/** What a plugin is handed when it is applied. */
export interface PluginContext {
  readonly hooks: Hooks
  readonly services: Services
  readonly log: Log
}
