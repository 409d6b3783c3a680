import { readdir } from 'node:fs/promises'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { OperatorError } from '../../../core/errors.ts'
import { readLines } from '../../../plugins/kit/copies/read-lines.ts'
import { shortSocketPath } from '../../../plugins/kit/listening/socket-file.ts'

/** The answer of a broker: one object, or pieces as they come. */
export type BrokerAnswer =
  | { readonly kind: 'one'; readonly value: object }
  | { readonly kind: 'stream'; readonly pieces: AsyncIterable<object> }

/** Where a broker's socket may be, without a look at any config. */
export interface SocketPlaces {
  /** The current folder. */
  readonly folder: string
  /** What `--socket` says. */
  readonly given: string | undefined
  /** What `MQTTX_SOCKET` says. */
  readonly environment: string | undefined
  /** The folder of systemd's; a test has its own. */
  readonly runFolder?: string
}

/** The socket of the one broker that there is. None, or several, is an `OperatorError` that says what to do. */
export async function findSocket({ folder, given, environment, runFolder = '/run/mqttx-broker' }: SocketPlaces): Promise<string> {
  const named = given ?? (environment === '' ? undefined : environment)
  if (named !== undefined) return resolve(folder, named)
  const tried: string[] = []
  for (const [place, pattern] of [
    [join(folder, 'data'), /^admin-.*\.sock$/],
    [runFolder, /\.sock$/],
  ] as const) {
    const names = (await readdir(place).catch(() => [])).filter(name => pattern.test(name)).sort()
    const paths = names.map(name => join(place, name))
    const live: string[] = []
    for (const path of paths) if (paths.length === 1 || (await answers(path))) live.push(path)
    if (live.length === 1) return live[0]!
    if (live.length > 1)
      throw new OperatorError('ERR_NO_BROKER', `several brokers run here; say which: --socket ${live.join(' or --socket ')}`)
    tried.push(place)
  }
  const cure = 'start one, go to its folder, or name its socket: --socket PATH, or MQTTX_SOCKET'
  throw new OperatorError('ERR_NO_BROKER', `no broker has its admin socket in ${tried.join(' or ')}; ${cure}`)
}

function answers(path: string): Promise<boolean> {
  return new Promise(done => {
    const socket = connect(shortSocketPath(path) ?? path)
    socket.on('connect', () => {
      socket.destroy()
      done(true)
    })
    // Of another user's, who may not ask, it is known that somebody is there.
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code === 'EACCES'))
  })
}

/** Asks the broker at a socket. `lines`: what the verb is given beside its arguments. An answer that is an error is an `OperatorError` with what the broker says. */
export async function askBroker(
  path: string,
  verb: { readonly name: string; readonly changes: boolean },
  given: object,
  lines: AsyncIterable<string> | null = null,
): Promise<BrokerAnswer> {
  const route = `/v1/${verb.name.replaceAll(' ', '/')}`
  const query = verb.changes && lines === null ? '' : new URLSearchParams(given as Record<string, string>).toString()
  const body = lines ?? (verb.changes ? given : null)
  const response = await sent(path, body === null ? 'GET' : 'POST', query === '' ? route : `${route}?${query}`, body)
  response.setEncoding('utf8')
  if (response.headers['content-type'] === 'application/x-ndjson') return { kind: 'stream', pieces: linesOf(response) }
  let text = ''
  for await (const chunk of response as AsyncIterable<string>) text += chunk
  const value = JSON.parse(text) as { error?: { code: string; problems: string[] } }
  if (response.statusCode !== 200 && value.error !== undefined)
    throw new OperatorError(value.error.code as 'ERR_VERB', value.error.problems)
  return { kind: 'one', value }
}

function sent(socketPath: string, method: string, path: string, body: object | AsyncIterable<string> | null): Promise<IncomingMessage> {
  return new Promise((done, failed) => {
    const isLines = body !== null && Symbol.asyncIterator in body
    const type = body === null ? {} : { 'Content-Type': isLines ? 'application/x-ndjson' : 'application/json' }
    // A broker that refuses a line answers before it has read the rest: on a connection that is to be closed the answer would be lost.
    const agent = isLines ? new Agent({ keepAlive: true }) : false
    const short = shortSocketPath(socketPath)
    if (short === null)
      throw new OperatorError(
        'ERR_NO_BROKER',
        `${socketPath}: the system takes no path of a socket that is so long; go to a folder near it`,
      )
    const asked = request({ socketPath: short, method, path, headers: { 'X-Actor': whoami(), ...type }, agent }, response => {
      if (agent !== false) response.once('close', () => agent.destroy())
      done(response)
    })
    asked.on('error', (cause: NodeJS.ErrnoException) => failed(unreachable(socketPath, cause)))
    if (isLines) void sendLines(asked, body).catch(error => asked.destroy(error as Error))
    else asked.end(body === null ? undefined : JSON.stringify(body))
  })
}

async function sendLines(asked: ClientRequest, lines: AsyncIterable<string>): Promise<void> {
  let isAnswered = false
  let go = (): void => {}
  asked.once('response', () => {
    isAnswered = true
    go()
  })
  asked.on('drain', () => go())
  asked.on('close', () => go())
  for await (const line of lines) {
    if (isAnswered || asked.destroyed) break
    if (asked.write(`${line}\n`)) continue
    await new Promise<void>(resolve => {
      go = resolve
    })
  }
  asked.end()
}

function unreachable(path: string, cause: NodeJS.ErrnoException): OperatorError {
  const why =
    cause.code === 'EACCES'
      ? "only the broker's own user may ask it; run this as that user, say sudo -u USER"
      : cause.code === 'ECONNREFUSED' || cause.code === 'ENOENT'
        ? 'no broker runs there; start it, or name another socket with --socket'
        : cause.message
  return new OperatorError('ERR_NO_BROKER', `${path}: ${why}`, { cause })
}

// The name may hold what a header may not.
function whoami(): string {
  try {
    return userInfo().username.replaceAll(/[^\x20-\x7e]/g, '?')
  } catch {
    return 'unknown'
  }
}

async function* linesOf(response: IncomingMessage): AsyncIterable<object> {
  for await (const line of readLines(response as AsyncIterable<string>)) if (line !== '') yield JSON.parse(line) as object
}

declare module '../../../core/error-codes.js' {
  interface ErrorCodes {
    /** The command line finds no broker to ask, or several. */
    ERR_NO_BROKER: true
  }
}
