import { readFile } from 'node:fs/promises'
import { connect, isIP, type Socket } from 'node:net'
import { resolve } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { OperatorError } from '../../../core/errors.ts'
import { checkArguments } from '../../../plugins/kit/verbs/define-verb.ts'
import { asTest } from '../../testing/replay/as-test.ts'
import { readRecording } from '../../testing/replay/recording.ts'
import { replay } from '../../testing/replay/replay.ts'
import type { AskIo } from '../ask/ask-io.ts'
import { showAnswer } from '../ask/show.ts'
import { linesIn } from '../copies/run-local.ts'
import { replayCommand } from './declaration.ts'

interface Given {
  readonly file: string
  readonly to: string | null
  readonly credentials: string | null
  readonly ca: string | null
  readonly wait: number
  readonly keepTime: boolean
  readonly asTest: boolean
}

const differs = 3

/** `replay FILE`: resolves to the exit code. */
export async function runReplay(texts: object, json: boolean, io: AskIo): Promise<number> {
  const { file, to, credentials, ca, wait, keepTime, asTest: wantsTest } = checkArguments('replay', replayCommand.takes, texts) as Given
  const recording = await piecesOf(file, io)
  // What is none is said before anything is done.
  const { lines, lost } = readRecording(recording)
  if (lines.length === 0)
    throw new OperatorError('ERR_ARGUMENTS', `replay: ${file} holds nothing; make a recording with: mqttx-broker trace ID --json > FILE`)
  if (wantsTest) {
    for (const line of asTest(file, recording)) io.out(line)
    return 0
  }
  const passwords = credentials === null ? new Map<string, string>() : passwordsIn(await text(credentials, io, 'credentials'), credentials)
  const dial = dialling(to, ca === null ? undefined : await text(ca, io, 'ca'))
  const answer = await replay(recording, { connect: dial, passwordOf: name => passwords.get(name), waitMs: wait, keepTime })
  if (json) io.out(JSON.stringify(answer))
  else for (const line of showAnswer(answer, Date.now())) io.out(line)
  if (lost > 0) io.error(`warning: the recording lacks ${lost} packets, which its reader did not take in time`)
  return answer.same ? 0 : differs
}

async function piecesOf(file: string, io: AskIo): Promise<unknown[]> {
  const pieces: unknown[] = []
  let number = 0
  for await (const line of linesIn(file, io)) {
    number += 1
    if (line.trim() === '') continue
    try {
      pieces.push(JSON.parse(line))
    } catch {
      throw new OperatorError(
        'ERR_ARGUMENTS',
        `replay: ${file}:${number} is no JSON; make a recording with: mqttx-broker trace ID --json > FILE`,
      )
    }
  }
  return pieces
}

async function text(path: string, { folder }: AskIo, option: string): Promise<string> {
  try {
    return await readFile(resolve(folder, path), 'utf8')
  } catch (cause) {
    throw new OperatorError('ERR_ARGUMENTS', `replay: --${option} ${path}: ${(cause as Error).message}`, { cause })
  }
}

function passwordsIn(lines: string, path: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const [i, line] of lines.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const colon = line.indexOf(':')
    if (colon < 1) throw new OperatorError('ERR_ARGUMENTS', `replay: ${path}:${i + 1}: a line is USER:PASSWORD`)
    found.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return found
}

/** Opens connections to the broker of a URL. */
function dialling(to: string | null, ca: string | undefined): () => Promise<Socket> {
  if (to === null) throw new OperatorError('ERR_ARGUMENTS', `replay: say to which broker, as in: mqttx-broker ${replayCommand.example}`)
  const { protocol, hostname, port } = URL.canParse(to) ? new URL(to) : { protocol: '', hostname: '', port: '' }
  if ((protocol !== 'mqtt:' && protocol !== 'mqtts:') || hostname === '')
    throw new OperatorError('ERR_ARGUMENTS', `replay: --to ${to}: a broker is mqtt://HOST:PORT or mqtts://HOST:PORT`)
  const isSecure = protocol === 'mqtts:'
  // An address of IPv6 stands in brackets.
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const place = { host, port: Number(port === '' ? (isSecure ? 8883 : 1883) : port) }
  return () =>
    new Promise((done, failed) => {
      const socket = isSecure
        ? connectTls({ ...place, ...(isIP(host) === 0 ? { servername: host } : {}), ...(ca === undefined ? {} : { ca }) })
        : connect(place)
      socket.once('error', cause => failed(new OperatorError('ERR_NO_BROKER', `replay: --to ${to}: ${cause.message}`, { cause })))
      socket.once(isSecure ? 'secureConnect' : 'connect', () => done(socket))
    })
}
