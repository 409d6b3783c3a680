import { fstatSync } from 'node:fs'
import { LineOutput } from './line-output.ts'

const outputs: [LineOutput | null, LineOutput | null] = [null, null]

/** Standard output, for everything in this process that writes there without waiting. */
export function standardOutput(): LineOutput {
  return outputOf(1)
}

/** Standard error, for everything in this process that writes there without waiting: the same as standard output where both are one file. */
export function standardError(): LineOutput {
  return outputOf(2)
}

const files = new Map<string, LineOutput>()

/** A file, by its whole path, for everything in this process that writes there without waiting. */
export function fileOutput(path: string): LineOutput {
  const known = files.get(path)
  if (known !== undefined) return known
  const output = new LineOutput(path)
  files.set(path, output)
  process.once('exit', () => output.flushNow())
  output.onTrouble = sayTrouble
  return output
}

/** Lines that all together have dropped. */
export function lostLines(): number {
  let lost = 0
  for (const output of new Set([...outputs, ...files.values()])) lost += output?.lost ?? 0
  return lost
}

/** Resolves when nothing waits on any of them any more, or `withinMs` later: for a process that is about to end. */
export async function drainOutputs(withinMs: number): Promise<void> {
  await Promise.all([...outputs, ...files.values()].map(output => output?.drained(withinMs)))
}

function outputOf(fd: 1 | 2): LineOutput {
  const known = outputs[fd - 1]
  if (known) return known
  const other = outputs[2 - fd]
  if (other && areOne()) {
    outputs[fd - 1] = other
    return other
  }
  const output = new LineOutput(fd)
  outputs[fd - 1] = output
  process.once('exit', () => output.flushNow())
  if (fd === 1) output.onTrouble = sayTrouble
  return output
}

// Two that write to one pipe by themselves would tear each other's lines apart.
function areOne(): boolean {
  const [first, second] = [fstatSync(1), fstatSync(2)]
  return first.dev === second.dev && first.ino === second.ino
}

function sayTrouble({ message }: NodeJS.ErrnoException): void {
  if (areOne()) return
  standardError().write(`the log cannot be written: ${message}; lines wait, and those that do not fit are lost, until it can\n`)
}
