import type { Conf } from './conf.ts'
import type { Translation } from './translation.ts'

/** Bridges to other brokers. */
export function translateBridges({ bridges }: Conf, translation: Translation): void {
  for (const bridge of bridges) {
    translation.leave(bridge.at, 'there is no bridge yet')
    for (const line of bridge.rest()) translation.leave(line, 'there is no bridge yet')
  }
}
