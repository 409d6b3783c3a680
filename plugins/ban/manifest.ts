import { defineManifest } from '../kit/define-manifest.ts'

/** Who may not connect until a time: by client id, user or address, said by an operator (`ban`, `unban`, `bans`) while the broker runs, known to all nodes, kept over restarts. */
export const banManifest = defineManifest({
  name: 'ban',
  requires: ['state'],
  goesWithItsServices: true,
  options: {},
})
