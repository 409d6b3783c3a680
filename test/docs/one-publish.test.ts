import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/one-publish.md'), 'utf8')

interface Step {
  readonly file: string
  readonly name: string
  /** It answers a question of the step before, which goes on then. */
  readonly asked: boolean
}

/** The walks of the page, each a table. */
const walks = page.split(/\n\n(?=\| step)/).flatMap(part => {
  const steps = [...part.matchAll(/^\| \d+ \| `([^`]+)` \| `([^`]+)` \| (\*Asked:\*)?/gm)]
  return steps.length === 0 ? [] : [steps.map(([, file, name, asked]): Step => ({ file: file!, name: name!, asked: asked !== undefined }))]
})

/** The functions and methods of a file by name, with their text. The formatter sees to it that each ends at its own indentation. */
function functionsOf(file: string): Map<string, string> {
  const text = readFileSync(join(root, file), 'utf8')
  const found = new Map<string, string>()
  const heads = /^( *)(?:export )?(?:async )?(?:function )?(?:get )?(#?\w+)(?:<[^>\n]*>)?\((?:[^\n]*|\n(?:[^\n]*\n)*?\1\)[^\n]*)\{$/gm
  for (const match of text.matchAll(heads)) {
    const [, indent, name] = match
    if (/^(?:if|for|while|switch|catch|function)$/.test(name!)) continue
    const end = text.indexOf(`\n${indent}}`, match.index)
    found.set(name!, `${found.get(name!) ?? ''}${text.slice(match.index + match[0].length, end)}`)
  }
  return found
}

/** What a function does, with the functions of its own file that it calls. */
function reached(file: string, name: string): string {
  const functions = functionsOf(file)
  const seen = new Set<string>()
  const visit = (one: string): string => {
    const body = functions.get(one)
    if (body === undefined || seen.has(one)) return ''
    seen.add(one)
    return (
      body +
      [...functions.keys()]
        .filter(other => body.includes(`${other}(`))
        .map(visit)
        .join('')
    )
  }
  return visit(name)
}

test('one PUBLISH takes at most 16 steps through at most 14 files', () => {
  const [main] = walks
  expect(main!.length).toBeGreaterThan(10)
  expect(main!.length).toBeLessThanOrEqual(16)
  expect(new Set(main!.map(({ file }) => file)).size).toBeLessThanOrEqual(14)
})

describe.each(walks.map((steps, i) => ({ walk: i + 1, steps })))('walk $walk of docs/one-publish.md', ({ steps }) => {
  test.each(steps)('$name stands in $file', ({ file, name }) => {
    expect([...functionsOf(file).keys()]).toContain(name)
  })

  const pairs = steps.slice(1).map((step, i) => ({ from: steps.slice(0, i + 1).findLast(({ asked }) => !asked)!, step }))

  test.each(pairs)('$from.name calls $step.name', ({ from, step }) => {
    const text = reached(from.file, from.name)
    if (step.name === 'constructor') expect(text).toContain('new Message(')
    // The outbox asks for the end of the turn; the flusher schedules itself then.
    else if (step.name === 'flush' && step.file.endsWith('flusher.ts')) {
      expect(text).toContain('#flusher.add(')
      expect(reached(step.file, 'add')).toContain('clock.turn(this.#flush)')
    } else expect(text).toMatch(new RegExp(`(?:[.?]|\\b)${step.name}\\(`))
  })
})
