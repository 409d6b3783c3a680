/** The contract suites of the store services and of the bus, for whoever writes an owner of one: see docs/writing-a-store.md and docs/writing-a-bus.md. */

export { type BusOwner, busContract } from './bus.ts'
export { type RetainedOwner, retainedContract } from './retained.ts'
export type { ContractRunner } from './runner.ts'
export { type SessionsFeature, type SessionsOwner, sessionsContract } from './sessions.ts'
export { type StateOwner, stateContract } from './state.ts'
