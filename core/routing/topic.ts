// Code units: comparing numbers costs less than comparing one-letter strings.
const slash = 0x2f
const plus = 0x2b
const hash = 0x23
const dollar = 0x24

/** Bytes, as UTF-8, of a topic name or filter at most [MQTT-4.7.3-3]. */
const bytesMax = 65_535
const sharePrefix = '$share/'

/** A topic name: at least one character, no wildcards, and a UTF-8 string as MQTT wants it [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-3.3.2-2]. */
export function isTopicName(topic: string): boolean {
  return topic.length > 0 && !hasWildcard(topic) && isEncodable(topic)
}

/** A topic filter, `$share/{name}/{filter}` included: wildcards stand alone in their level, `#` only in the last [MQTT-4.7.1-1] [MQTT-4.7.1-2]. */
export function isTopicFilter(filter: string): boolean {
  if (!isEncodable(filter)) return false
  if (!filter.startsWith(sharePrefix)) return isWellFormed(filter)
  const share = parseShare(filter)
  return share !== null && isWellFormed(share.filter)
}

/** The same without shared subscriptions, of which MQTT 3.1.1 knows nothing: there `$share/` begins a filter like any other. */
export function isPlainFilter(filter: string): boolean {
  return isEncodable(filter) && isWellFormed(filter)
}

function isWellFormed(filter: string): boolean {
  const { length } = filter
  if (length === 0) return false
  for (let i = 0; i < length; i++) {
    const unit = filter.charCodeAt(i)
    if (unit !== plus && unit !== hash) continue
    if (i > 0 && filter.charCodeAt(i - 1) !== slash) return false
    if (unit === hash ? i !== length - 1 : i < length - 1 && filter.charCodeAt(i + 1) !== slash) return false
  }
  return true
}

// No half of a surrogate pair and no U+0000; three bytes of UTF-8 stand for one code unit at most, so only long strings have to be counted.
function isEncodable(text: string): boolean {
  if (text.includes('\0') || loneSurrogate.test(text)) return false
  return text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax
}

// With the flag `u` a whole pair is one letter, so only a half matches.
const loneSurrogate = /\p{Surrogate}/u

/** The parts of `$share/{group}/{filter}`; null where it is no such filter, or the group holds `/ + #` or nothing [MQTT-4.8.2-1] [MQTT-4.8.2-2]. */
export function parseShare(filter: string): { group: string; filter: string } | null {
  if (!filter.startsWith(sharePrefix)) return null
  const end = filter.indexOf('/', sharePrefix.length)
  if (end <= sharePrefix.length || end === filter.length - 1) return null
  const group = filter.slice(sharePrefix.length, end)
  return group.includes('+') || group.includes('#') ? null : { group, filter: filter.slice(end + 1) }
}

/** What a client with this mount point calls a topic or a filter, of which `$share/{name}/` is no part here. */
export function ownName(topic: string, mountPoint: string | undefined): string {
  return mountPoint !== undefined && topic.startsWith(mountPoint) ? topic.slice(mountPoint.length) : topic
}

/** How many levels a topic or filter has: one more than it has slashes. */
export function topicLevels(topic: string): number {
  let levels = 1
  for (let i = topic.indexOf('/'); i !== -1; i = topic.indexOf('/', i + 1)) levels += 1
  return levels
}

/** The broker's own: clients cannot publish here, nor can their wills. */
export function isReservedTopic(topic: string): boolean {
  return topic.charCodeAt(0) === dollar && (topic.startsWith('$SYS/') || topic === '$SYS' || topic.startsWith('$share/'))
}

/** A filter that can match more than one topic name. */
export function hasWildcard(filter: string): boolean {
  return filter.includes('+') || filter.includes('#')
}

/** Does this filter match this topic name? Both must be well-formed; a `$share/` filter is none here. */
export function matches(filter: string, topic: string): boolean {
  const first = filter.charCodeAt(0)
  // [MQTT-4.7.2-1]
  if (topic.charCodeAt(0) === dollar && (first === plus || first === hash)) return false
  let f = 0
  let t = 0
  const filterEnd = filter.length
  const topicEnd = topic.length
  for (;;) {
    // Both stand at the beginning of a level.
    const unit = f < filterEnd ? filter.charCodeAt(f) : slash
    if (unit === hash) return true
    if (unit === plus) {
      f += 1
      while (t < topicEnd && topic.charCodeAt(t) !== slash) t += 1
    } else {
      while (f < filterEnd && t < topicEnd) {
        const next = filter.charCodeAt(f)
        if (next !== topic.charCodeAt(t) || next === slash) break
        f += 1
        t += 1
      }
    }
    const filterDone = f === filterEnd
    const topicDone = t === topicEnd
    if (filterDone && topicDone) return true
    if (filterDone || filter.charCodeAt(f) !== slash) return false
    // `a/#` matches `a` too: the parent level is part of it.
    if (topicDone) return f === filterEnd - 2 && filter.charCodeAt(f + 1) === hash
    if (topic.charCodeAt(t) !== slash) return false
    f += 1
    t += 1
  }
}

/** Does `wide` match every topic name that `narrow` matches? Follows matching, so `#` and `+/…` cover no filter that begins with `$`. */
export function covers(wide: string, narrow: string): boolean {
  const first = wide.charCodeAt(0)
  if (narrow.charCodeAt(0) === dollar && (first === plus || first === hash)) return false
  const wideLevels = wide.split('/')
  const narrowLevels = narrow.split('/')
  for (let i = 0; ; i++) {
    const level = wideLevels[i]
    const other = narrowLevels[i]
    if (level === '#') return true
    if (level === undefined || other === undefined) {
      // `a/#` covers `a`, because it matches it.
      return level === other || (other === undefined && wideLevels.length === i + 1 && level === '#')
    }
    // `x/#` matches `x` too, which `x/+/#` does not; but before the first level, and before `/`, there is no topic name.
    if (other === '#') return (narrow === '#' || narrow === '/#') && level === '+' && wideLevels[i + 1] === '#'
    if (level !== '+' && level !== other) return false
  }
}
