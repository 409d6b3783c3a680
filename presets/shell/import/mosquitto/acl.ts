import { isTopicFilter } from '../../../../core/routing/topic.ts'

/** A rule of `topicSecurity`. */
export interface AclRule {
  allow?: 'publish' | 'subscribe' | 'all'
  deny?: 'all'
  topics: string[]
  users?: string[]
  anonymous?: true
  listeners?: string[]
}

/** What a line of the file cannot become, and why. */
export interface AclRest {
  readonly line: number
  readonly text: string
  readonly reason: string
}

/** An `acl_file` as rules. */
export interface Acl {
  readonly rules: AclRule[]
  readonly untranslated: AclRest[]
  /** What mosquitto would refuse, with the line. */
  readonly problems: string[]
}

type Access = 'publish' | 'subscribe' | 'all' | 'deny'

const accesses: Readonly<Record<string, Access>> = { read: 'subscribe', write: 'publish', readwrite: 'all', deny: 'deny' }

interface Entry {
  readonly access: Access
  readonly topic: string
}

/**
 * The rules of an `acl_file`, in the order in which mosquitto judges: what a client's own section denies, then what it allows, then the patterns, of which, too, those that deny
 * come first. A client without a user name has the lines above the first `user`.
 */
export function parseAcl(text: string, path: string): Acl {
  const problems: string[] = []
  const untranslated: AclRest[] = []
  const users = new Map<string | null, Entry[]>()
  const patterns: Entry[] = []
  let user: string | null = null
  for (const [index, whole] of text.split('\n').entries()) {
    const said = whole.trimEnd()
    const [word = '', ...words] = said.split(' ').filter(part => part !== '')
    if (said.startsWith('#') || word === '') continue
    const say = (problem: string): void => void problems.push(`${path}:${index + 1}: ${problem}`)
    if (said.includes('\uFFFD')) {
      say(`${word}: the line is not UTF-8; save the file as UTF-8`)
      continue
    }
    const rest = said.trimStart().slice(word.length).trim()
    if (word === 'user') {
      if (rest === '') say('user: needs a name')
      user = rest
      continue
    }
    if (word !== 'topic' && word !== 'pattern') {
      say(`${word}: no line of an acl_file; there are user, topic and pattern`)
      continue
    }
    const first = words[0] ?? ''
    const access = words.length > 1 ? accesses[first] : 'all'
    const topic = words.length > 1 ? rest.slice(first.length).trim() : rest
    if (topic === '') say(`${word}: needs a topic`)
    else if (access === undefined) say(`${word}: ${JSON.stringify(first)} is no access; there are read, write, readwrite and deny`)
    else if (!isTopicFilter(topic)) say(`${word}: ${JSON.stringify(topic)} is no topic filter; + and # stand alone between slashes`)
    else if (word === 'topic' && /%[uc]/.test(topic)) {
      const reason = `${topic} holds %u or %c, which in topicSecurity stand for the client's names`
      untranslated.push({ line: index + 1, text: said, reason })
    } else if (word === 'pattern') patterns.push({ access, topic })
    else {
      const entries = users.get(user)
      if (entries === undefined) users.set(user, [{ access, topic }])
      else entries.push({ access, topic })
    }
  }
  const own = [...users].flatMap(([name, entries]) => rulesOf(entries, name === null ? { anonymous: true } : { users: [name] }))
  return { rules: [...own, ...rulesOf(patterns, {})], untranslated, problems }
}

// Neighbours of the same access are one rule; their order is kept.
function rulesOf(entries: readonly Entry[], whom: Pick<AclRule, 'users' | 'anonymous'>): AclRule[] {
  const ordered = [...entries.filter(({ access }) => access === 'deny'), ...entries.filter(({ access }) => access !== 'deny')]
  const rules: AclRule[] = []
  let last: Access | undefined
  for (const { access, topic } of ordered) {
    if (access === last) rules.at(-1)!.topics.push(topic)
    else rules.push({ ...(access === 'deny' ? { deny: 'all' } : { allow: access }), topics: [topic], ...whom })
    last = access
  }
  return rules
}
