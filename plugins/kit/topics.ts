import { isTopicFilter } from '../../core/routing/topic.ts'

/** Whether there is a topic name that both topic filters match. Both must be well-formed and without `$share/{name}/`. */
export function overlaps(a: string, b: string): boolean {
  if (hides(a, b) || hides(b, a)) return false
  const levels = a.split('/')
  const others = b.split('/')
  for (let i = 0; ; i++) {
    const level = levels[i]
    const other = others[i]
    // `a/#` matches `a` too, so it hardly matters whether the other one goes on: `/#` and `+` have only the empty topic in common, and that is none.
    if (level === '#') return other !== undefined || i !== 1 || levels[0] !== ''
    if (other === '#') return level !== undefined || i !== 1 || others[0] !== ''
    if (level === undefined || other === undefined) return level === other
    if (level !== '+' && other !== '+' && level !== other) return false
  }
}

// [MQTT-4.7.2-1]
function hides(system: string, wild: string): boolean {
  return system.startsWith('$') && (wild.startsWith('+') || wild.startsWith('#'))
}

/** Why a rule on messages, in the options of a plugin, cannot have this topic filter: the text of an error; null where it can. A rule's filter is no shared subscription. */
export function ruleFilterFault(filter: string): string | null {
  if (isTopicFilter(filter) && !filter.startsWith('$share/')) return null
  return `${JSON.stringify(filter)} is no topic filter; wildcards stand alone in their level, # only in the last`
}

/** A text, such as a client id, as one level of a topic name: `+`, `#`, `/` and, beside one of them, `%` are percent-encoded. */
export function asTopicLevel(text: string): string {
  return /[+#/]/.test(text) ? text.replace(/[%+#/]/g, encodeURIComponent) : text
}
