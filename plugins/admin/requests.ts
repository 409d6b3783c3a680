import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Actor } from '../../core/actor.ts'
import type { Broker } from '../../core/broker.ts'
import { OperatorError } from '../../core/errors.ts'
import { readLines } from '../kit/copies/read-lines.ts'
import { type DescribedVerb, type Role, rolesOf } from '../kit/verbs/define-verb.ts'
import type { Verb } from '../kit/verbs/verbs.ts'

/** Who asks, and what its role lets it do. */
export interface Caller {
  readonly actor: Actor
  readonly role: Role
}

const prefix = '/v1/'
const bodyMax = 1024 * 1024

const statusOf: { readonly [code: string]: number } = { ERR_OPERATE_REFUSED: 403, ERR_VERB: 404, ERR_NODE_SILENT: 504 }

/** What a request is answered with where it is not carried out. */
class Refused extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** Answers one request of somebody who is known: `GET /v1/clients?user=alice`, `POST /v1/kick` with JSON. Each verb has a route, and each route is a verb. */
export async function answerRequest(
  broker: Broker,
  { actor, role }: Caller,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://broker')
    const verb = verbAt(broker, url.pathname)
    const { role: needed = 'admin' } = verb as Partial<DescribedVerb>
    if (!rolesOf(role).includes(needed))
      throw new Refused(403, 'ERR_ADMIN_ROLE', `${verb.name} needs the role ${needed}; this token has the role ${role}`)
    const given = await givenTo(verb, request, url)
    const answer = await (verb.changes ? broker.verbs.operate(actor, verb.name, given) : broker.verbs.inspect(verb.name, given, actor))
    if (isStream(answer)) await sendStream(answer, response)
    else send(response, 200, answer ?? {})
  } catch (error) {
    if (response.headersSent) return void response.destroy()
    const { status, body } = refusalOf(error)
    if (status === 500) broker.report(error)
    send(response, status, body)
  } finally {
    // Lines that nobody reads any more are taken off the connection, so that whoever sends them comes to read the answer.
    request.resume()
  }
}

/** How an error is answered. */
export function refusalOf(error: unknown): { readonly status: number; readonly body: object } {
  const { status, code, problems } = faultOf(error)
  return { status, body: { error: { code, problems } } }
}

/** Answers in JSON. */
export function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(`${JSON.stringify(body)}\n`)
}

function verbAt(broker: Broker, path: string): Verb {
  // A name in a table, and no path of a file: there is nothing to walk out of.
  const name = path.startsWith(prefix) ? path.slice(prefix.length).replaceAll('/', ' ') : ''
  const verb = broker.verbs.find(name)
  if (verb === undefined) throw new Refused(404, 'ERR_VERB', missingVerb(path, name))
  return verb
}

// The command line knows verbs of plugins that this broker does not have.
function missingVerb(path: string, name: string): string {
  const what =
    name === ''
      ? `there is no ${path} here`
      : `${name}: this broker has no such verb; the plugin that brings it is off, or it is spelt otherwise`
  return `${what}; mqttx-broker verbs and GET ${prefix}verbs list what there is`
}

async function givenTo(verb: Verb, request: IncomingMessage, url: URL): Promise<object> {
  const { method = 'GET' } = request
  if (!verb.changes && method === 'GET') return fromQuery(url)
  if (method !== 'POST') throw new Refused(405, 'ERR_VERB', `${verb.name}: send ${verb.changes ? 'POST with JSON' : 'GET'}, not ${method}`)
  if ((verb as Partial<DescribedVerb>).takesLines !== true) return await jsonOf(request, verb.name)
  if (typeOf(request) !== 'application/x-ndjson')
    throw new Refused(415, 'ERR_VERB', `${verb.name}: send Content-Type: application/x-ndjson, a line each`)
  return { ...fromQuery(url), lines: readLines(request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) }
}

/** The JSON object that is sent. */
export async function jsonOf(request: IncomingMessage, what: string, bytesMax = bodyMax): Promise<object> {
  // A page elsewhere can have a browser send a form, but not this without asking first, which nobody allows.
  if (typeOf(request) !== 'application/json') throw new Refused(415, 'ERR_VERB', `${what}: send Content-Type: application/json`)
  const body = await bodyOf(request, bytesMax)
  if (body.length === 0) return {}
  try {
    const given = JSON.parse(body.toString()) as unknown
    if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given
  } catch {
    // Said below.
  }
  throw new Refused(400, 'ERR_ARGUMENTS', `${what}: the body is no JSON object; send {"name": value}`)
}

function typeOf({ headers }: IncomingMessage): string | undefined {
  return headers['content-type']?.split(';')[0]?.trim()
}

function fromQuery(url: URL): object {
  const given: Record<string, unknown> = Object.create(null)
  for (const [name, value] of url.searchParams) given[name] = value
  return given
}

async function bodyOf(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new Refused(413, 'ERR_ARGUMENTS', `the body has more than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function faultOf(error: unknown): { status: number; code: string; problems: readonly string[] } {
  if (error instanceof Refused) return { status: error.status, code: error.code, problems: [error.message] }
  if (error instanceof OperatorError) {
    const status = statusOf[error.code] ?? 400
    return { status, code: error.code, problems: error.problems }
  }
  return { status: 500, code: 'ERR_INTERNAL', problems: ['an error inside the broker; its log says which'] }
}

function isStream(answer: unknown): answer is AsyncIterable<object> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer
}

// A line of JSON for each piece. Whoever reads slowly makes the verb wait, which drops rather than keeps.
async function sendStream(pieces: AsyncIterable<object>, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
  response.flushHeaders()
  const walk = pieces[Symbol.asyncIterator]()
  response.on('close', () => void walk.return?.())
  for (;;) {
    const { value, done } = await walk.next()
    if (done === true || response.destroyed) break
    if (!response.write(`${JSON.stringify(value)}\n`)) await new Promise<void>(go => response.once('drain', go).once('close', go))
  }
  response.end()
}
