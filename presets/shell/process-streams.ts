import { Writable } from 'node:stream'
import { isatty } from 'node:tty'
import { inspect } from 'node:util'
import type { Log } from '../../core/log.ts'
import { LineThrottle } from '../../plugins/kit/line-throttle.ts'
import { standardError, standardOutput } from '../../plugins/kit/output/standard-outputs.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'

const repeatedMs = 10_000
const kindCharacters = 100

/**
 * Takes over what is printed in the process of a broker past its log, so that nothing waits for whoever reads: `console`, `process.stdout` and `process.stderr`, Node's warnings,
 * and the error that ends the process. What libraries print on standard error (ioredis, kafkajs) becomes a line of the log, the same one once in ten seconds. `log`: as soon
 * as there is one.
 */
export function takeStreams(log: () => Log | undefined): void {
  const throttle = new LineThrottle(new SystemClock(), { everyMs: repeatedMs })
  const said = (text: string): void => {
    const to = log()
    if (to?.isLevelEnabled('warn') !== true) {
      errors.write(`${text}\n`)
      return
    }
    const times = throttle.pass(text.slice(0, kindCharacters))
    if (times > 0) to.warn({ from: 'standard error', ...(times === 1 ? {} : { times }) }, text)
  }
  // Both open what Node has for them, before something else stands in its place.
  const output = standardOutput()
  const errors = standardError()
  replace('stdout', 1, text => void output.write(text))
  replace('stderr', 2, text => said(text.replace(/\n$/, '')))
  takeWarnings(said)
  process.on('uncaughtException', error => {
    // By itself Node writes it and waits, for ever where nobody reads.
    errors.write(`${inspect(error)}\n`)
    process.exit(1)
  })
}

function replace(name: 'stdout' | 'stderr', fd: 1 | 2, write: (text: string) => void): void {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      write(String(chunk))
      done()
    },
  })
  Object.assign(stream, { fd, ...(isatty(fd) ? { isTTY: true } : {}) })
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream })
  // A config that has printed something has bound the console to the stream before.
  Object.assign(console, { [`_${name}`]: stream })
}

// Node's own listener writes and waits. It is not there with --no-warnings.
function takeWarnings(said: (text: string) => void): void {
  const own = process.listeners('warning').filter(listener => listener.name === 'onWarning')
  if (own.length === 0 || process.execArgv.some(option => option.startsWith('--redirect-warnings'))) return
  for (const listener of own) process.off('warning', listener)
  const { noDeprecation, traceDeprecation, traceProcessWarnings } = process as NodeJS.Process & {
    readonly traceProcessWarnings?: boolean
    readonly traceDeprecation?: boolean
  }
  process.on('warning', warning => {
    const isDeprecation = warning.name === 'DeprecationWarning'
    if (isDeprecation && noDeprecation === true) return
    const traced = traceProcessWarnings === true || (isDeprecation && traceDeprecation === true)
    const { code } = warning as NodeJS.ErrnoException
    said(`${code === undefined ? '' : `[${code}] `}${traced ? warning.stack : `${warning.name}: ${warning.message}`}`)
  })
}
