import { useKnown } from '../context.ts'
import { bytes, compact, count, duration } from '../format.ts'
import { useAsked } from '../live.ts'
import { Card, Chip, Facts, Fault, Head, Missing } from '../parts/text.tsx'

/** The nodes that live, and how busy each is. */
export function Nodes() {
  const { alarms } = useKnown()
  const { answer, error } = useAsked('nodes', {}, 5000)
  const rates = useAsked('rates', { limit: 1 }, 5000)
  return (
    <>
      <Head title="Nodes" about="The brokers of this cluster that live, and their processes" />
      <Fault error={error ?? rates.error} />
      <Missing nodes={rates.answer?.missing} />
      <div class="cards two">
        {answer?.rows.map(({ name, self, version, uptime, connections, ...facts }) => {
          const rate = rates.answer?.rows.findLast(({ node }) => node === name)
          const wrong = alarms?.filter(({ node }) => node === name) ?? []
          return (
            <Card
              key={name}
              title={name}
              aside={
                <span class="chips">
                  {self && <Chip>asked here</Chip>}
                  {wrong.length === 0 ? (
                    <Chip kind="good">well</Chip>
                  ) : (
                    <Chip kind="warn">{wrong.map(alarm => alarm.name).join(', ')}</Chip>
                  )}
                </span>
              }
            >
              <Facts
                rows={[
                  ['Version', String(version)],
                  ['Up', duration(Number(uptime) * 1000)],
                  ['Connections', count(Number(connections))],
                  ...(rate === undefined
                    ? []
                    : ([
                        ['Messages in, out', `${compact(rate.received)}/s, ${compact(rate.sent)}/s`],
                        ['Bytes in, out', `${bytes(rate.bytesIn)}/s, ${bytes(rate.bytesOut)}/s`],
                        ['Processor', `${compact(rate.cpuPercent)} % of a core`],
                        ['Event loop', `${compact(rate.busyPercent)} % busy, longest wait ${compact(rate.lagMs)} ms`],
                        ['Memory', bytes(rate.rss)],
                      ] as const)),
                  ...Object.entries(facts).map(
                    ([fact, value]) => [fact, typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value)] as const,
                  ),
                ]}
              />
            </Card>
          )
        })}
      </div>
    </>
  )
}
