import { useState } from 'preact/hooks'
import { ago, count } from '../format.ts'
import { useAsked } from '../live.ts'
import { Card, Chip, Fault, Head, Search, Table } from '../parts/text.tsx'

/** The config in force, as `check` shows it, and what readings of it have changed. */
export function Config() {
  const { answer, error } = useAsked('config', {})
  const changes = useAsked('config changes', {}, 15_000)
  const [text, setText] = useState('')
  const [isSet, setIsSet] = useState(false)
  const rows =
    answer?.rows.filter(
      ({ path, value, by }) =>
        (!isSet || (by !== 'default' && by !== 'preset')) && `${path} ${value} ${by}`.toLowerCase().includes(text.toLowerCase()),
    ) ?? []
  return (
    <>
      <Head
        title="Config"
        about={answer === null ? ' ' : `Preset ${answer.preset}, ${answer.file === null ? 'no config file' : answer.file}`}
      />
      <Fault error={error} />
      {answer !== null && (
        <>
          {answer.warnings.map(warning => (
            <p class="fault warn" key={warning}>
              {warning}
            </p>
          ))}
          <div class="filters">
            <Search label="Part of an option, a value, or who set it" value={text} change={setText} />
            <label class="tick">
              <input type="checkbox" checked={isSet} onChange={event => setIsSet(event.currentTarget.checked)} /> Only what somebody set
            </label>
          </div>
          <Card title="In force" flush aside={<Chip>{count(rows.length)}</Chip>}>
            <Table label="Options" isStacked columns={['Option', 'Value', 'Set by']}>
              {rows.map(({ path, value, by }) => (
                <tr key={`${path} ${value}`}>
                  <td class="mono">{path}</td>
                  <td class="mono">{value}</td>
                  <td class={by === 'default' ? 'faint' : undefined}>{by}</td>
                </tr>
              ))}
            </Table>
          </Card>
        </>
      )}
      {changes.error?.code !== 'ERR_VERB' && (
        <Card title="Changed since the start" flush>
          <Fault error={changes.error} />
          {changes.answer?.rows.length === 0 && <p class="quiet">Nothing has.</p>}
          <ul class="rows tall">
            {changes.answer?.rows.map(({ at, taken, later, failed }) => (
              <li key={at}>
                <span>
                  {failed !== null ? <Chip kind="bad">refused</Chip> : <Chip kind="good">taken up</Chip>}{' '}
                  {failed ?? [...taken, ...later.map(one => `${one} (at the next start)`)].join(', ')}
                </span>
                <span class="number">{ago(at)}</span>
              </li>
            ))}
          </ul>
        </Card>
      )}
    </>
  )
}
