import fc from 'fast-check'

/** Few letters and few levels, so that filters and topics meet often. */
const letters = ['', 'a', 'b', '$x', ' ']

/** A topic name. */
export const aTopic = fc
  .array(fc.constantFrom(...letters), { minLength: 1, maxLength: 3 })
  .map(levels => levels.join('/'))
  .filter(topic => topic !== '')

/** A topic filter without `$share/`. */
export const aFilter = fc
  .tuple(fc.array(fc.constantFrom(...letters, '+', '+'), { maxLength: 3 }), fc.boolean())
  .map(([levels, rest]) => (rest ? [...levels.slice(0, 2), '#'] : levels).join('/'))
  .filter(filter => filter !== '')

/** All topic names of up to four levels from a few letters, one of which no filter holds. */
export const smallTopics: readonly string[] = (() => {
  const found: string[] = []
  let longest = ['', 'a', 'b', '$x', ' ', 'other']
  for (let levels = 1; levels <= 4; levels++) {
    found.push(...longest)
    longest = longest.flatMap(topic => ['', 'a', 'b', '$x', ' ', 'other'].map(level => `${topic}/${level}`))
  }
  return found.filter(topic => topic !== '')
})()

/** Matching as the standard says it, level by level, without any cleverness. */
export function naiveMatches(filter: string, topic: string): boolean {
  const wanted = filter.split('/')
  const given = topic.split('/')
  if (topic.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false
  const rest = wanted.at(-1) === '#'
  const levels = rest ? wanted.slice(0, -1) : wanted
  if (rest ? given.length < levels.length : given.length !== levels.length) return false
  return levels.every((level, i) => level === '+' || level === given[i])
}
