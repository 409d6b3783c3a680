import { enter, setToken } from './api.ts'

const key = 'token'

/** The token of this tab, kept until it is closed; an address that is good once is used up, and taken out of the address bar and its history. */
export async function begin(): Promise<string | null> {
  const oneTime = /^#enter=(.+)$/.exec(location.hash)?.[1]
  if (oneTime !== undefined) {
    history.replaceState(null, '', '#/')
    keep(await enter(oneTime))
  }
  const token = sessionStorage.getItem(key)
  setToken(token)
  return token
}

/** From now on this is the token; null: there is none. */
export function keep(token: string | null): void {
  if (token === null) sessionStorage.removeItem(key)
  else sessionStorage.setItem(key, token)
  setToken(token)
}
