import * as declared from './declarations.ts'
import type { VerbDeclaration, VerbWork } from './define-verb.ts'

/** Each with where its work is done; in the order in which the help shows them. */
export const verbs: readonly { readonly declaration: VerbDeclaration; load(): Promise<VerbWork> }[] = [
  { declaration: declared.verbsVerb, load: async () => work((await import('./listed.ts')).listed) },
  { declaration: declared.statusVerb, load: async () => work((await import('./status.ts')).status) },
  { declaration: declared.alarmsVerb, load: async () => work((await import('./status.ts')).alarms) },
  { declaration: declared.nodesVerb, load: async () => work((await import('./status.ts')).nodes) },
  { declaration: declared.clientsVerb, load: async () => work((await import('./clients.ts')).clients) },
  { declaration: declared.clientVerb, load: async () => work((await import('./client.ts')).client) },
  { declaration: declared.sessionsVerb, load: async () => work((await import('./sessions.ts')).sessions) },
  { declaration: declared.queueVerb, load: async () => work((await import('./client.ts')).queue) },
  { declaration: declared.whyVerb, load: async () => work((await import('./why.ts')).why) },
  { declaration: declared.topVerb, load: async () => work((await import('./top.ts')).top) },
  { declaration: declared.memoryVerb, load: async () => work((await import('./top.ts')).memory) },
  { declaration: declared.subscribersVerb, load: async () => work((await import('./topics.ts')).subscribers) },
  { declaration: declared.subscriptionsVerb, load: async () => work((await import('./subscriptions.ts')).subscriptions) },
  { declaration: declared.publishersVerb, load: async () => work((await import('./topics.ts')).publishers) },
  { declaration: declared.retainedVerb, load: async () => work((await import('./topics.ts')).retained) },
  { declaration: declared.retainTreeVerb, load: async () => work((await import('./retained-levels.ts')).retainedTree) },
  { declaration: declared.retainRemoveVerb, load: async () => work((await import('./topics.ts')).retainRemove) },
  { declaration: declared.publishVerb, load: async () => work((await import('./topics.ts')).publish) },
  { declaration: declared.queueClearVerb, load: async () => work((await import('./on-behalf.ts')).queueClear) },
  { declaration: declared.subscribeVerb, load: async () => work((await import('./on-behalf.ts')).subscribe) },
  { declaration: declared.unsubscribeVerb, load: async () => work((await import('./on-behalf.ts')).unsubscribe) },
  { declaration: declared.kickVerb, load: async () => work((await import('./acts.ts')).kick) },
]

// What one takes its own work knows; here they are of one kind.
function work(one: object): VerbWork {
  return one as VerbWork
}
