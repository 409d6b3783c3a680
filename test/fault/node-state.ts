/** What one node knows, as `tell-state.mjs` says it. */
export interface NodeState {
  readonly name: string
  /** Of its own table: how many rows, and their hash. */
  readonly routes: string
  /** The same of the others' tables, as they stand here. */
  readonly known: Readonly<Record<string, string>>
  /** The durable sessions that it knows, and their filters. */
  readonly sessions: Readonly<Record<string, string>>
  /** Those whose clients are connected to it. */
  readonly owned: readonly string[]
}

/** What is not yet as it must be once all is quiet: routes equal on all nodes, and one owner for each session, the one that the store names. */
export function disagreements(states: readonly NodeState[], owners: ReadonlyMap<string, string | null>): string[] {
  const wrong: string[] = []
  for (const { name, known, sessions } of states) {
    for (const other of states) {
      if (other.name === name) continue
      if (known[other.name] !== other.routes)
        wrong.push(`${name} has ${known[other.name]} for the routes of ${other.name}, ${other.routes}`)
    }
    const strangers = Object.keys(known).filter(one => !states.some(state => state.name === one))
    if (strangers.length > 0) wrong.push(`${name} knows of ${strangers.join(', ')}, who are not there`)
    const [first] = states
    if (JSON.stringify(sortedOf(sessions)) !== JSON.stringify(sortedOf(first!.sessions))) {
      wrong.push(`${name} and ${first!.name} differ about sessions: ${JSON.stringify(sessions)}, ${JSON.stringify(first!.sessions)}`)
    }
  }
  for (const [clientId, owner] of owners) {
    const holders = states.filter(({ owned }) => owned.includes(clientId)).map(({ name }) => name)
    if (holders.length !== 1 || holders[0] !== owner)
      wrong.push(`${clientId} is ${owner}'s, and connected to ${holders.join(' and ') || 'nobody'}`)
  }
  return wrong
}

function sortedOf(sessions: NodeState['sessions']): [string, string][] {
  return Object.entries(sessions).toSorted(([a], [b]) => (a < b ? -1 : 1))
}
