import type { BrokerCore } from '../../core/broker-core.ts'
import type { Client } from '../../core/connection/client.ts'
import { Stage } from '../../core/hooks.ts'
import type { Rights } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'

const tap = { name: 'entryRules', stage: Stage.Guard }

/** What a config asks of clients that its authentication lets in: a client id of their user's, and somebody who holds them to the rights that they were granted. */
export function tapEntryRules({ hooks, entry, settings }: BrokerCore, rightsIgnored: boolean): void {
  const { clientIds } = settings.mqtt
  if (clientIds.length > 0) {
    hooks.onConnect.tap(tap, client => {
      if (client.assignedId || clientIds.some(pattern => fits(pattern, client))) return undefined
      const cure = 'mqtt.clientIds says which there are; connect with one of these, or change the option'
      return entry.refuse(client, 'clientIds', ReasonCode.ClientIdentifierNotValid, 'this client id is not one of its user', cure)
    })
  }
  // A program that taps these hooks by itself, later on, knows what it grants.
  if (rightsIgnored || !(hooks.onAuthenticate.isUsed() || hooks.onAuth.isUsed())) return
  hooks.onConnect.tap(tap, client => {
    if (!grants(client.rights) || hooks.onAuthorize.isUsed()) return undefined
    const cure = 'turn topicSecurity on, add a plugin that taps onAuthorize, or say topicSecurity: false'
    return entry.refuse(client, 'uncheckedRights', ReasonCode.NotAuthorized, 'rights were granted that nobody checks', cure)
  })
}

function grants(rights: Rights | null): boolean {
  return rights?.authorizedPub !== undefined || rights?.authorizedSub !== undefined
}

/** `%u` in a pattern stands for the user name, which must be there; `#` at its end for whatever follows. */
function fits(pattern: string, { clientId, username }: Client): boolean {
  const open = pattern.endsWith('#')
  if (pattern.includes('%u') && (username ?? '') === '') return false
  const wanted = (open ? pattern.slice(0, -1) : pattern).replaceAll('%u', () => username!)
  return open ? clientId.startsWith(wanted) : clientId === wanted
}
