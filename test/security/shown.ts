import { afterAll, beforeEach, expect, inject, type RunnerTask } from 'vitest'
import { problemClasses } from './classes.ts'

// Goal: a test that shows that a class of security problems does not exist here cannot be emptied, skipped or renamed unnoticed. Method:
// this file is part of every test file's run. A test that `problemClasses` names has to assert something; and when the file is through,
// each name that stands for one of its tests has to be that of a test that has passed.

/** A test that has run. */
export interface Ran {
  readonly name: string
  readonly hasPassed: boolean
}

/** The names of tests that a file, by its path below test/, owes to the classes of problems. */
export function namesIn(file: string): string[] {
  return problemClasses.flatMap(({ shownBy }) => shownBy.flatMap(([where, name]) => (where === file ? [name] : [])))
}

/** Whether a test is the one that a name stands for. */
export function isNamed(test: string, name: string): boolean {
  const parts = name.split('%i').map(part => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(parts.join('.*')).test(test.replaceAll('’', "'"))
}

/** Those of these names for which no test has passed, or one has not. */
export function unproven(names: readonly string[], tests: readonly Ran[]): string[] {
  return names.filter(name => {
    const found = tests.filter(test => isNamed(test.name, name))
    return found.length === 0 || found.some(({ hasPassed }) => !hasPassed)
  })
}

const pathOf = (filepath: string): string => filepath.replace(/^.*\/test\//, '')

function ranIn(tasks: readonly RunnerTask[]): Ran[] {
  return tasks.flatMap(task =>
    task.type === 'suite' ? ranIn(task.tasks) : [{ name: task.name, hasPassed: task.result?.state === 'pass' }],
  )
}

beforeEach(({ task }) => {
  if (namesIn(pathOf(task.file.filepath)).some(name => isNamed(task.name, name))) expect.hasAssertions()
})

// biome-ignore lint/correctness/noEmptyPattern: vitest takes nothing else in its first place.
afterAll(({}, { file }) => {
  // `vitest -t` leaves tests out on purpose.
  if (inject('isFiltered')) return
  expect(unproven(namesIn(pathOf(file.filepath)), ranIn(file.tasks)), 'tests that test/security/classes.ts names').toEqual([])
})
