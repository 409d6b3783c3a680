import type { Answered, Given, VerbName } from '../plugins/kit/verbs/verbs.ts'

/** What the broker says instead of an answer. */
export class ApiError extends Error {
  /** The HTTP status; 0: the broker was not reached. */
  readonly status: number
  /** The broker's error code, such as `ERR_ADMIN_ROLE`. */
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

let token: string | null = null
let refused: () => void = () => {}
let verbs: ReadonlyMap<string, boolean> | null = null

/** From now on requests are made by this token; null: by none. */
export function setToken(wanted: string | null): void {
  token = wanted
}

/** Called where the broker no longer takes the token. */
export function onRefused(listener: () => void): void {
  refused = listener
}

/** Asks which verbs there are, and which of them this role may use: for others no request is made. */
export async function learnVerbs(role: string | null): Promise<void> {
  const roles = ['read', 'operate', 'admin']
  const mine = role === null ? roles.length : roles.indexOf(role)
  verbs = null
  const { rows } = await ask('verbs')
  verbs = new Map(rows.map(row => [row.name, roles.indexOf(row.role) <= mine]))
}

/** Whether the broker has a verb, and the visitor's role may use it. */
export function knows(verb: string): boolean {
  return verbs?.get(verb) === true
}

/** Asks, or does, what a verb says: `ask('clients', { user: 'alice' })`. Rejects with an `ApiError`. */
export async function ask<V extends VerbName>(verb: V, given: Given<V> = {} as Given<V>, signal?: AbortSignal): Promise<Answered<V>> {
  if (verbs !== null && !knows(verb)) throw unknown(verb, verbs.has(verb))
  const said = Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== '')
  const query = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString()
  const response = await send(`${routeOf(verb)}${query === '' ? '' : `?${query}`}`, { signal: signal ?? null })
  return (await response.json()) as Answered<V>
}

/** Has the broker do what a verb says that changes something. */
export async function act<V extends VerbName>(verb: V, given: Given<V> = {} as Given<V>): Promise<Answered<V>> {
  const response = await send(routeOf(verb), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(given),
  })
  return (await response.json()) as Answered<V>
}

/** Pieces of an answer as they come: of `tail` and `trace`. `begins` is called when the broker has answered and listens. Ends by the signal, or when the verb is over. */
export async function* pieces(
  verb: 'tail' | 'trace',
  given: Record<string, string>,
  signal: AbortSignal,
  begins: () => void,
): AsyncGenerator<object> {
  const response = await send(`${routeOf(verb)}?${new URLSearchParams(given)}`, { signal })
  begins()
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    text += value
    const lines = text.split('\n')
    text = lines.pop()!
    for (const line of lines) if (line !== '') yield JSON.parse(line) as object
  }
}

/** Exchanges a token that is good once for the session's own. */
export async function enter(oneTime: string): Promise<string> {
  const response = await send('/v1/session', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ token: oneTime }),
  })
  return ((await response.json()) as { token: string }).token
}

/** Ends the session, where the token is one of a session; that of a file stays good. */
export async function leave(): Promise<void> {
  await send('/v1/session', { method: 'DELETE' }).catch(() => {})
}

function unknown(verb: string, isThere: boolean): ApiError {
  return isThere
    ? new ApiError(403, 'ERR_ADMIN_ROLE', 'It needs a higher role.')
    : new ApiError(404, 'ERR_VERB', `This broker has no ${verb}: the plugin that brings it is off.`)
}

function routeOf(verb: string): string {
  return `/v1/${verb.replaceAll(' ', '/')}`
}

async function send(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers)
  if (token !== null) headers.set('Authorization', `Bearer ${token}`)
  let response: Response
  try {
    response = await fetch(path, { ...init, headers, cache: 'no-store', credentials: 'omit' })
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error
    throw new ApiError(0, 'ERR_AWAY', 'The broker does not answer.')
  }
  if (response.ok) return response
  const said = (await response.json().catch(() => ({}))) as { error?: { code: string; problems: string[] } }
  if (response.status === 401 && token !== null) refused()
  throw new ApiError(response.status, said.error?.code ?? 'ERR_HTTP', said.error?.problems.join('; ') ?? `HTTP ${response.status}`)
}
