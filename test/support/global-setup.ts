import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the sources are compiled to by the first test file that asks for that: see `beforeAllBuilt`. */
    builtFolder: string
    /** Only some tests of each file run. */
    isFiltered: boolean
  }
}

/** Gives the run a folder for the compiled sources, and removes it in the end. */
export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-built-'))
  project.provide('builtFolder', folder)
  project.provide('isFiltered', project.config.testNamePattern !== undefined)
  const empty = (): void => {
    for (const name of ['tree', 'begun', 'result']) rmSync(join(folder, name), { recursive: true, force: true })
  }
  // Under `vitest --watch` a source has changed.
  project.onTestsRerun(empty)
  return () => rmSync(folder, { recursive: true, force: true })
}
