/**
 * What the suites ask of a test runner: `describe` and `it` of Vitest, of `node:test`, of Jest or Mocha. Assertions are
 * `node:assert`'s, so nothing else is needed.
 */
export interface ContractRunner {
  /** Groups tests. */
  describe(name: string, define: () => void): void
  /** Declares a test. */
  it(title: string, run: () => Promise<void>): void
}
