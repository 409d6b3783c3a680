import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'

/** Where a page's steps are carried out, and what stands in for what the page takes for granted. */
export interface Place {
  readonly folder: string
  /** `npm install mqttx-broker` becomes this. */
  readonly install: string
  /** In place of 1883. */
  readonly port: number
  /** The heading before which it ends. Default: the whole page. */
  readonly until?: string
}

interface Block {
  readonly kind: 'console' | 'text' | 'file'
  readonly lines: readonly string[]
}

/** The blocks of a page that say what to do and what is seen: `console`, `text` (what the running broker prints), and files, whose first line is their name. */
function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(console|text|ts)\n(.*?)^```/gms)].map(([, kind, text]) => ({
    kind: kind === 'ts' ? 'file' : (kind as 'console' | 'text'),
    lines: text!.trimEnd().split('\n'),
  }))
}

/** Does what a page says, step by step, and compares what each step prints with what the page says; `…` stands for anything. */
export async function walkThrough(page: string, place: Place): Promise<number> {
  let broker: Background | null = null
  let steps = 0
  try {
    for (const { kind, lines } of blocksOf(readFileSync(page, 'utf8').split(place.until ?? '\0')[0]!)) {
      if (kind === 'file') {
        const name = /^\/\/ (\S+)$/.exec(lines[0]!)![1]!
        writeFileSync(join(place.folder, name), `${lines.join('\n').replaceAll('1883', String(place.port))}\n`)
      } else if (kind === 'text') {
        await broker!.prints(lines)
      } else {
        for (const { command, expected } of commandsOf(lines)) {
          steps += 1
          if (command === 'kill %1') {
            broker!.end()
            await broker!.prints(expected)
            broker = null
          } else if (command.endsWith(' &')) {
            broker = new Background(adapted(command.slice(0, -2), place), place.folder)
            await broker.prints(expected.map(line => line.replaceAll('1883', String(place.port))))
          } else {
            const printed = await run(adapted(command, place), place.folder)
            if (command.endsWith(' init')) usePort(join(place.folder, 'mqttx.config.ts'), place.port)
            if (/^npm (init|install)/.test(command)) continue
            const wanted = expected.map(line => line.replaceAll('1883', String(place.port)))
            expect(printed, command).toMatch(patternOf(wanted))
          }
        }
      }
    }
  } finally {
    broker?.end()
  }
  return steps
}

function usePort(file: string, port: number): void {
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll('1883', String(port)))
}

function commandsOf(lines: readonly string[]): { command: string; expected: string[] }[] {
  const commands: { command: string; expected: string[] }[] = []
  for (const line of lines) {
    if (line.startsWith('$ ')) commands.push({ command: line.slice(2), expected: [] })
    else commands.at(-1)!.expected.push(line)
  }
  return commands
}

/** What `npm install` needs not look up or say. */
export const quiet = '--prefer-offline --no-audit --no-fund'

function adapted(command: string, { install, port }: Place): string {
  if (command === 'npm install mqttx-broker') return install
  if (command === 'npm install') return `${command} ${quiet}`
  return /^mosquitto_/.test(command) ? `${command} -p ${port}` : command
}

function patternOf(lines: readonly string[]): RegExp {
  const escaped = lines.map(line => line.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '[^]*'))
  return new RegExp(`^${escaped.join('\\s*\\n')}\\s*$`)
}

function run(command: string, cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', command], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += chunk))
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`${command} did not end within two minutes; it printed ${printed}`))
    }, 120_000)
    child.on('close', () => {
      clearTimeout(late)
      resolve(printed)
    })
  })
}

/** A broker that runs beside the other steps. */
class Background {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  #read = 0
  #changed: () => void = () => {}

  constructor(command: string, cwd: string) {
    this.#child = spawn('sh', ['-c', `exec ${command}`], { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let text = ''
    const take = (chunk: Buffer): void => {
      const lines = (text + chunk).split('\n')
      text = lines.pop()!
      this.#lines.push(...lines.map(line => line.replace(/^\[[\d:.]+\] /, '')))
      this.#changed()
    }
    this.#child.stdout!.on('data', take)
    this.#child.stderr!.on('data', take)
  }

  /** Waits for these lines, one after another; a line that is only `…` stands for any number. */
  async prints(expected: readonly string[]): Promise<void> {
    let skipping = false
    for (const wanted of expected) {
      if (wanted === '…') {
        skipping = true
        continue
      }
      for (;;) {
        const line = await this.#next(wanted)
        if (patternOf([wanted]).test(line)) break
        if (!skipping) expect(line).toMatch(patternOf([wanted]))
      }
      skipping = false
    }
  }

  async #next(wanted: string): Promise<string> {
    while (this.#read >= this.#lines.length) {
      await new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`waited in vain for ${wanted}; it printed ${JSON.stringify(this.#lines)}`)), 60_000)
        this.#changed = () => {
          clearTimeout(late)
          resolve()
        }
      })
    }
    return this.#lines[this.#read++]!
  }

  /** Ctrl-C, to all of it: npx has started the broker. */
  end(): void {
    try {
      process.kill(-this.#child.pid!, 'SIGINT')
    } catch {
      // It has ended already.
    }
  }
}
