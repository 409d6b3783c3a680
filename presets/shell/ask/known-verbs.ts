import {
  auditVerb,
  exportVerb,
  importVerb,
  pageVerb,
  ratesVerb,
  recentVerb,
  tailVerb,
  takeoversVerb,
  traceVerb,
  whoamiVerb,
} from '../../../plugins/admin/verbs.ts'
import { bansVerb, banVerb, unbanVerb } from '../../../plugins/ban/verbs.ts'
import { nodesForgetVerb } from '../../../plugins/cluster/verbs.ts'
import { backupVerb, compactVerb } from '../../../plugins/disk/verbs.ts'
import { dropsVerb } from '../../../plugins/drop-log/drops-verb.ts'
import { openapiVerb } from '../../../plugins/kit/verbs/declarations.ts'
import type { VerbDeclaration } from '../../../plugins/kit/verbs/define-verb.ts'
import { rowOf, type VerbRow } from '../../../plugins/kit/verbs/listed.ts'
import { verbs } from '../../../plugins/kit/verbs/table.ts'
import { levelVerb, logsVerb } from '../../../plugins/log/log-verbs.ts'
import { pluginsVerb } from '../../../plugins/metrics/plugins-verb.ts'
import { certificatesVerb } from '../../../plugins/ssl/certificates-verb.ts'
import { migrateCommand, ownOptions, restoreCommand } from '../copies/declarations.ts'
import { replayCommand } from '../replay/declaration.ts'
import {
  configChangesVerb,
  configDiffVerb,
  configVerb,
  drainVerb,
  endSessionVerb,
  reloadVerb,
  undrainVerb,
} from '../shell-verb-declarations.ts'

const brought: readonly VerbDeclaration[] = [
  openapiVerb,
  endSessionVerb,
  nodesForgetVerb,
  banVerb,
  unbanVerb,
  bansVerb,
  tailVerb,
  recentVerb,
  traceVerb,
  dropsVerb,
  takeoversVerb,
  auditVerb,
  ratesVerb,
  whoamiVerb,
  pageVerb,
  certificatesVerb,
  pluginsVerb,
  levelVerb,
  drainVerb,
  undrainVerb,
  logsVerb,
  reloadVerb,
  configVerb,
  configDiffVerb,
  configChangesVerb,
  exportVerb,
  importVerb,
  backupVerb,
  compactVerb,
]

/** The verbs that brokers of this package have, with all its plugins: each is a route. */
export const brokerVerbs: readonly VerbRow[] = [...verbs.map(({ declaration }) => declaration), ...brought].map(declaration =>
  rowOf({ ...declaration, changes: declaration.changes === true }),
)

/** The verbs of the package's own, in the order in which the help shows them; a plugin of the user's may bring others, which its broker knows. */
export const knownVerbs: readonly VerbRow[] = [...brokerVerbs, rowOf(replayCommand), rowOf(migrateCommand), rowOf(restoreCommand)].map(
  withOwn,
)

// What the command line takes besides, and deals with by itself.
function withOwn(verb: VerbRow): VerbRow {
  const own = ownOptions[verb.name]
  if (own === undefined) return verb
  const { takes, positional } = verb
  return { ...verb, takes: { ...own.takes, ...takes }, positional: [...(own.positional ?? []), ...positional] }
}
