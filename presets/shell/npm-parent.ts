import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

const lookMs = 500
const names = /^(?:npm|npx|pnpm|pnpx|yarn)(?:-cli)?(?:\.[cm]?js)?$/
const generationsMax = 8

interface Relation {
  /** A process between npm and here, or this one: npm's child. */
  readonly child: number
  readonly npm: number
}

/**
 * Has `gone` called when the npm process that started this one has gone: `kill` of an `npx mqttx-broker` reaches npm alone, which may leave the shell that it starts, and the broker
 * behind, without anybody who knows of them. Only a change counts: a broker that npm did not start, or whose npm had gone before the first look (a daemon), goes on. Returns what
 * ends the watch. Only Linux says who started whom; elsewhere nothing is watched.
 */
export function watchNpm(gone: (npm: number) => void): () => void {
  const relation = process.env.npm_execpath === undefined ? null : findNpm()
  if (relation === null) return () => {}
  const timer = setInterval(() => {
    if (parentOf(relation.child) === relation.npm) return
    clearInterval(timer)
    gone(relation.npm)
  }, lookMs)
  timer.unref()
  return () => clearInterval(timer)
}

function findNpm(): Relation | null {
  let child = process.pid
  for (let i = 0; i < generationsMax; i++) {
    const parent = parentOf(child)
    if (parent <= 1) return null
    if (isNpm(parent)) return { child, npm: parent }
    child = parent
  }
  return null
}

/** 0: nobody knows. A parent that has ended is none, even where nobody has yet asked how it ended. */
function parentOf(pid: number): number {
  if (pid === process.pid) return process.ppid
  const [, parent = '0'] = /\) \S+ (\d+)/.exec(read(`/proc/${pid}/stat`)) ?? []
  return Number(parent)
}

// npm calls its process by what it does, `npm exec mqttx-broker`; its kin are a script that Node runs. A shell that was told to run one of them is none.
function isNpm(pid: number): boolean {
  const [first = '', ...rest] = read(`/proc/${pid}/cmdline`).split('\0')
  const words = basename(first).startsWith('node') ? rest : [first.split(' ')[0]!]
  return words.some(word => names.test(basename(word)))
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
