import type { TransportRequest } from '../../core/connection/transport.ts'
import type { ConnectPacket } from '../../core/protocol/packets.ts'

/** Where a token is looked for. */
export interface TokenPlaces {
  readonly from: readonly ('password' | 'username' | 'header' | 'cookie' | 'query')[]
  /** Names, of which that of the header is in lower case. */
  readonly header: string
  readonly cookie: string
  readonly query: string
  readonly cookieOrigins: readonly string[]
}

/** Whether a text is a token by its looks: it has parts, of which the first is an object of JSON in base64url. */
export function looksLikeToken(text: string): boolean {
  const header = /^(ey[\w-]{0,8192})\.[\w-]*\.[\w.-]*$/.exec(text)?.[1]
  if (header === undefined) return false
  try {
    JSON.parse(Buffer.from(header, 'base64url').toString('utf8'))
    return true
  } catch {
    return false
  }
}

/** What is taken for a token: what looks like one, wherever it is, before what does not; `undefined`: there is nothing. */
export function tokenOf(
  places: TokenPlaces,
  connect: Pick<ConnectPacket, 'password' | 'username'> | null,
  request: TransportRequest | undefined,
): string | undefined {
  let other: string | undefined
  for (const place of places.from) {
    const found = textAt(place, places, connect, request)
    if (found === undefined || found === '') continue
    if (looksLikeToken(found)) return found
    // A user name that is no token is just that.
    if (place !== 'username') other ??= found
  }
  return other
}

function textAt(
  place: TokenPlaces['from'][number],
  places: TokenPlaces,
  connect: Pick<ConnectPacket, 'password' | 'username'> | null,
  request: TransportRequest | undefined,
): string | undefined {
  switch (place) {
    case 'password':
      return connect?.password?.toString('latin1')
    case 'username':
      return connect?.username
    case 'header':
      return headerOf(request, places.header)?.replace(/^bearer +/i, '')
    case 'cookie':
      return request !== undefined && isOwnPage(request, places.cookieOrigins) ? cookieOf(request, places.cookie) : undefined
    case 'query': {
      const { url = '' } = request ?? {}
      const start = url.indexOf('?')
      return start === -1 ? undefined : (new URLSearchParams(url.slice(start + 1)).get(places.query) ?? undefined)
    }
  }
}

function headerOf(request: TransportRequest | undefined, name: string): string | undefined {
  return [request?.headers[name]].flat()[0]
}

function cookieOf(request: TransportRequest, name: string): string | undefined {
  for (const pair of (headerOf(request, 'cookie') ?? '').split(';')) {
    const equals = pair.indexOf('=')
    if (equals !== -1 && pair.slice(0, equals).trim() === name)
      return pair
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1')
  }
  return undefined
}

// A browser sends the cookie for any page that asks, so that page must be one of the user's own; clients that are no browser name none.
function isOwnPage(request: TransportRequest, origins: readonly string[]): boolean {
  const origin = headerOf(request, 'origin')?.toLowerCase()
  if (origin === undefined) return true
  if (origins.some(one => one.toLowerCase() === origin)) return true
  const host = headerOf(request, 'host')?.toLowerCase()
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host
}
