import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { Publisher } from '../../core/publisher.ts'
import type { PublishRefusal } from '../../core/refusals.ts'
import { addCache } from '../kit/bounded-cache.ts'
import { WatchedFile } from '../kit/watched-file.ts'
import { Judge } from './judge.ts'
import { ListenersOfClients } from './listeners-of-clients.ts'
import { topicSecurityManifest } from './manifest.ts'
import { type RuleInput, Rules } from './rules.ts'
import { parseRules } from './rules-file.ts'
import { Sources } from './sources.ts'

/** Lets clients publish and subscribe to what rules and rights allow, and to nothing else. */
export const topicSecurity = definePlugin(
  topicSecurityManifest,
  ({ hooks, broker, clock, log }, { rules, rulesFile, checkFileEvery, withoutRights, readRights, retainedSource, deniedPublish }) => {
    let own: readonly RuleInput[] = rules
    let fromFile: readonly RuleInput[] = []
    const seen = new ListenersOfClients(hooks)
    const rulesOf = (list: readonly RuleInput[], path = rulesFile ?? ''): Rules => {
      const made = new Rules({ rules: own, at: 'topicSecurity.rules' }, { rules: list, at: `topicSecurity.rulesFile: ${path}` })
      if (made.askListeners) seen.watch()
      return made
    }
    const judge = new Judge(rulesOf([]), withoutRights, publisher => seen.of(publisher))
    addCache(broker, 'topicSecurity', () => judge)
    let started = false
    const changed = (): void => {
      if (started) broker.recheckRights().catch(error => broker.report(error))
    }
    const file =
      rulesFile === null
        ? null
        : new WatchedFile({
            option: 'topicSecurity.rulesFile',
            path: rulesFile,
            folder: broker.folder,
            clock,
            everyMs: checkFileEvery,
            apply(text, path) {
              const list = parseRules(text, path)
              judge.rules = rulesOf(list, path)
              fromFile = list
              if (started) log.info({ path, rules: list.length }, 'rules read again')
              changed()
            },
            failed: error => log.error({ err: error }, `the rules have changed and are not taken up: ${error.message}`),
          })

    let denial = denialOf(deniedPublish)
    const atDelivery = readRights === 'delivery'
    // What is allowed here other plugins may still refuse; what is denied here no later one lets pass.
    const explain = (publisher: Publisher, action: 'publish' | 'subscribe', topic: string): string =>
      judge.explain(publisher, action, topic)
    hooks.onAuthorize.tap({ name: 'topicSecurity', stage: Stage.Guard, pure: true, explain }, (publisher, action, topic) => {
      if (action === 'publish') return judge.mayPublish(publisher, topic) ? undefined : denial
      return atDelivery || judge.maySubscribe(publisher, topic) ? undefined : false
    })
    // Behind whoever gives the client names of its own, mount points say.
    if (atDelivery || retainedSource) {
      const sources = new Sources(judge)
      hooks.onDeliver.tap('topicSecurity', (client, delivery) => {
        if (atDelivery && !judge.mayRead(client, delivery.topic)) return false
        return retainedSource && delivery.retain && !sources.mayPublish(delivery.message) ? false : undefined
      })
    }

    return {
      verify: () => file?.verify(),
      async start() {
        await file?.start()
        started = true
      },
      reread: () => file?.reread(),
      stop: () => file?.stop(),
      reload(options) {
        const before = own
        own = options.rules
        try {
          judge.rules = rulesOf(fromFile)
        } catch (error) {
          own = before
          throw error
        }
        judge.withoutRights = options.withoutRights
        denial = denialOf(options.deniedPublish)
        changed()
      },
    }
  },
)

// What `onAuthorize` answers for a publish that is not allowed.
function denialOf(deniedPublish: 'refuse' | PublishRefusal): false | PublishRefusal {
  return deniedPublish === 'refuse' ? false : deniedPublish
}
