import type { ClientEvent } from '../kit/client-lines.ts'
import type { UpgradeRefusal } from './upgrade.ts'

// There are as many as whyRefused has answers, for each listener's options.
const refusals = new Map<string, ClientEvent>()

/** What a refused request for a WebSocket is called in the log. */
export function refusalOf({ text, about }: UpgradeRefusal): ClientEvent {
  let event = refusals.get(text)
  if (event === undefined) {
    event = { level: 'info', text: `request for a WebSocket refused: ${text}`, who: 'address', about }
    refusals.set(text, event)
  }
  return event
}
