import type { ContractRunner } from '../contracts/suite/index.ts'

/** Runs the tests of a suite as they are defined, and keeps the titles of those that fail. */
export class Verdict implements ContractRunner {
  readonly #tests: (readonly [string, () => Promise<void>])[] = []

  readonly describe = (_name: string, define: () => void): void => define()

  readonly it = (title: string, run: () => Promise<void>): void => void this.#tests.push([title, run])

  /** `only`: the one test that is run; all where nothing is said. */
  async failing(only?: string): Promise<string[]> {
    const failing: string[] = []
    for (const [title, run] of this.#tests) if (only === undefined || title === only) await run().catch(() => failing.push(title))
    return failing
  }
}
