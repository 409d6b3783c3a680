import { busCases } from './bus-cases.ts'
import { BusHarness, type BusOwner } from './bus-harness.ts'
import { membershipCases } from './bus-members.ts'
import { troubleCases } from './bus-trouble.ts'
import type { ContractRunner } from './runner.ts'

export type { BusOwner } from './bus-harness.ts'

/** Defines one test on a cluster of its own. */
export type BusCase = (title: string, run: (harness: BusHarness) => Promise<void>) => void

/** The contract of the `bus` service (plugins/kit/services/bus.ts), for any owner. It runs in real time: a bus lives by signs of life. */
export function busContract({ describe, it }: ContractRunner, owner: BusOwner): void {
  describe(`a bus ${owner.name}`, () => {
    const one: BusCase = (title, run) =>
      it(title, async () => {
        const harness = new BusHarness(owner)
        try {
          await run(harness)
        } finally {
          await harness.dispose()
        }
      })
    busCases(one)
    membershipCases(one)
    troubleCases(one, owner)
  })
}
