/** The contract suites of the store services, for whoever writes an owner of one: see docs/writing-a-store.md. */

export { type RetainedOwner, retainedContract } from './retained.ts'
export type { ContractRunner } from './runner.ts'
export { type SessionsOwner, sessionsContract } from './sessions.ts'
