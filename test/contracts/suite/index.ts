/**
 * The contract suites of stores, buses, bridges and listeners, for whoever writes one: docs/writing-a-store.md, docs/writing-a-bus.md, docs/writing-a-bridge.md and
 * docs/writing-a-plugin.md.
 */

export { type BridgeOwner, bridgeContract } from './bridge.ts'
export { type BusOwner, busContract } from './bus.ts'
export { type FaultOutcome, type FaultOwner, type FaultTerms, faultContract, faultRounds } from './fault.ts'
export { type ListenerFeature, type ListenerOwner, type ListenerTerms, listenerContract } from './listener.ts'
export { type RetainedOwner, retainedContract } from './retained.ts'
export type { ContractRunner } from './runner.ts'
export { type SessionsFeature, type SessionsOwner, sessionsContract } from './sessions.ts'
export { type StateOwner, stateContract } from './state.ts'
export { type KeptRecord, type TargetFeature, type TargetOwner, targetContract } from './target.ts'
