import type { ConfLine } from './conf-lines.ts'

/** Which options of mosquitto.conf an option of the config comes from, by how its path ends. */
const origins: readonly (readonly [RegExp, readonly string[]])[] = [
  [/(^|\.)tls\.cert$/, ['certfile']],
  [/(^|\.)tls\.key$/, ['keyfile']],
  [/(^|\.)tls\.ca$/, ['cafile', 'capath']],
  [/(^|\.)tls\.crl$/, ['crlfile']],
  [/(^|\.)tls\.psk(File|Hint)$/, ['psk_file', 'psk_hint']],
  [/(^|\.)tls\.ciphers$/, ['ciphers', 'ciphers_tls1.3']],
  [/^authFile\./, ['password_file']],
  [/^log\.file$/, ['log_dest']],
  [/^disk\.path$/, ['persistence_location', 'persistence_file', 'persistence']],
  [/^mountpoint\./, ['mount_point']],
  [/^(host$|(web)?socket)/, ['listener', 'port', 'bind_address']],
]

/** The line that a problem with the translated config comes from: the one whose value the problem speaks of, else the only one that there is. */
export function originOf(problem: string, lines: readonly ConfLine[]): ConfLine | undefined {
  const path = problem.slice(0, problem.indexOf(':'))
  const names = origins.find(([pattern]) => pattern.test(path))?.[1] ?? []
  const candidates = lines.filter(({ name }) => names.includes(name))
  const spoken = candidates.find(({ value }) => value.split(/[ /]+/).some(part => part !== '' && problem.includes(part)))
  return spoken ?? (candidates.length === 1 ? candidates[0] : undefined)
}
