import { useKnown } from '../context.ts'
import { duration, many } from '../format.ts'
import { Card, Chip, Empty, Facts, Fault, Head } from '../parts/text.tsx'

const lateSeconds = 60

/** The systems that messages are bridged to. */
export function Bridges() {
  const { status, error } = useKnown()
  return (
    <>
      <Head title="Bridges" about="What goes from this broker to other systems, and what waits for them" />
      <Fault error={error} />
      {status?.bridges.length === 0 && (
        <Empty title="Messages are bridged nowhere">
          The plugin messageBridge sends them to Kafka, mqttBridge to other MQTT brokers and from there, by rules.
        </Empty>
      )}
      <div class="cards two">
        {status?.bridges.map(({ target, waiting, lagSeconds, connected }) => (
          <Card
            key={target}
            title={target}
            aside={
              connected === false ? (
                <Chip kind="bad">not connected</Chip>
              ) : lagSeconds >= lateSeconds ? (
                <Chip kind="warn">behind</Chip>
              ) : (
                <Chip kind="good">well</Chip>
              )
            }
          >
            <Facts
              rows={[
                ['Waiting', many(waiting, 'message')],
                ['Oldest on its way', lagSeconds === 0 ? 'none' : duration(lagSeconds * 1000)],
              ]}
            />
          </Card>
        ))}
      </div>
    </>
  )
}
