import type { Actor } from '../../core/actor.ts'
import type { Broker } from '../../core/broker.ts'
import { OperatorError } from '../../core/errors.ts'
import type { CopiedStores } from '../kit/copies/export-lines.ts'
import type { ImportAnswer } from '../kit/copies/import-lines.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { exportVerb, importVerb } from './verbs.ts'

/** Brings the verbs that read and write everything that this broker keeps. `payloads`: those with the role admin may see payloads. */
export function addCopying(broker: Broker, payloads: boolean): void {
  broker.verbs.add(
    defineVerb(broker, exportVerb, {
      async run(_broker, _given, { role }: Actor) {
        if (!payloads)
          throw new OperatorError(
            'ERR_ARGUMENTS',
            'export: it has payloads, which are shown only where the config says admin.payloads: true; or stop the broker and say --from disk:./data',
          )
        // The program itself has no role.
        if (role !== undefined && role !== 'admin')
          throw new OperatorError('ERR_OPERATE_REFUSED', 'export: payloads are shown to the role admin only')
        const { exportLines } = await import('../kit/copies/export-lines.ts')
        return exportLines(storesOf(broker))
      },
    }),
  )
  broker.verbs.add(
    defineVerb(broker, importVerb, {
      run: (_broker, { skipExisting }, _actor, lines) => importTo(broker, lines, skipExisting),
    }),
  )
}

async function importTo(broker: Broker, lines: AsyncIterable<string>, skipExisting: boolean): Promise<ImportAnswer> {
  const { importLines } = await import('../kit/copies/import-lines.ts')
  const refusal = (clientId: string): string | null =>
    broker.clientOf(clientId) === undefined ? null : 'a client with this id is connected; send it away first (mqttx-broker kick)'
  try {
    return await importLines(storesOf(broker), lines, { node: broker.verbs.node, skipExisting, refusal })
  } finally {
    // From here on messages go to what came with it, however far it came.
    await broker.reloadSessions()
  }
}

function storesOf({ services }: Broker): CopiedStores {
  return {
    sessions: services.find('sessions') ?? null,
    retained: services.find('retained') ?? null,
    state: services.find('state') ?? null,
  }
}
