import { useEffect, useState } from 'preact/hooks'

/** The view that the address names, and what it is of: `#/clients/meter-7`. */
export interface Route {
  readonly view: string
  readonly of: string | null
}

/** The address of a view. */
export function to(view: string, of?: string): string {
  return `#/${view}${of === undefined ? '' : `/${encodeURIComponent(of)}`}`
}

function current(): Route {
  const [, view = '', ...rest] = location.hash.split('/')
  const text = rest.join('/')
  try {
    return { view: view === '' ? 'overview' : view, of: text === '' ? null : decodeURIComponent(text) }
  } catch {
    return { view: 'overview', of: null }
  }
}

/** Follows the address. */
export function useRoute(): Route {
  const [route, set] = useState(current)
  useEffect(() => {
    const follow = (): void => set(current())
    addEventListener('hashchange', follow)
    // It may have changed since the first look.
    follow()
    return () => removeEventListener('hashchange', follow)
  }, [])
  return route
}
