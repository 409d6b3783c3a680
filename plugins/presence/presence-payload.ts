/** What a message about a client says; a payload template may name each field. */
export interface PresenceFacts {
  readonly event: 'connected' | 'disconnected' | 'online' | 'offline'
  readonly clientId: string
  readonly username: string | null
  readonly node: string
  /** Milliseconds since the Unix epoch. */
  readonly time: number
  readonly [field: string]: string | number | boolean | null
}

const placeholder = /\{(clientId|username|node|address|time|reason|reasonCode)\}/g

/** The payload by a template; JSON where there is none. In a template that is JSON itself, texts are written as JSON writes them. */
export function payloadOf(template: string | undefined, facts: PresenceFacts): string {
  if (template === undefined) return JSON.stringify(facts)
  const isJson = /^\s*[{[]/.test(template) && !template.startsWith('{clientId}') && !template.startsWith('{username}')
  return template.replace(placeholder, (_all, name: string) => {
    const text = String(facts[name] ?? '')
    return isJson ? JSON.stringify(text).slice(1, -1) : text
  })
}
