import { useEffect, useState } from 'preact/hooks'
import type { LogRow } from '../../plugins/log/log-verbs.ts'
import { type ApiError, ask } from '../api.ts'
import { ago, time } from '../format.ts'
import { asApiError, useAsked, useSettled, whileSeen } from '../live.ts'
import { Card, Chip, Choice, Empty, Fault, Head, Search, Table } from '../parts/text.tsx'

type Level = 'debug' | 'info' | 'warn' | 'error'

const rowsMax = 300
const everyMs = 2000
const kinds: Readonly<Record<string, 'plain' | 'warn' | 'bad'>> = { warn: 'warn', error: 'bad', fatal: 'bad' }

/** The log of all nodes as it is written, and what operators have done. */
export function Log() {
  const [level, setLevel] = useState<Level>('info')
  const [text, setText] = useState('')
  const { rows, error } = useLines(level, useSettled(text))
  const audit = useAsked('audit', { limit: 30 }, 10_000)
  return (
    <>
      <Head title="Log" about="As it is written, the newest first; each node keeps its last thousand lines">
        <Choice<Level>
          label="The least level"
          options={[
            ['debug', 'Debug'],
            ['info', 'Info'],
            ['warn', 'Warn'],
            ['error', 'Error'],
          ]}
          value={level}
          change={setLevel}
        />
      </Head>
      <div class="filters">
        <Search label="Part of a line" value={text} change={setText} />
      </div>
      <Fault error={error} />
      <Card flush title="Lines">
        {rows.length === 0 ? (
          <Empty title="No such line">A line that is written shows here.</Empty>
        ) : (
          <ol class="lines">
            {rows.map(({ row: { at, node, level: of, text: said, fields }, n }) => (
              <li key={n} class={of}>
                <time class="number">{time(at)}</time>
                <Chip kind={kinds[of] ?? 'plain'}>{of}</Chip>
                <span class="line-text">
                  {said}{' '}
                  <span class="faint">
                    {Object.entries(fields)
                      .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
                      .join(' ')}
                  </span>
                </span>
                <span class="faint wide">{node}</span>
              </li>
            ))}
          </ol>
        )}
      </Card>
      <Card title="What operators have done" flush>
        <Fault error={audit.error} />
        {audit.answer?.rows.length === 0 && <p class="quiet">Nothing since the start.</p>}
        {(audit.answer?.rows.length ?? 0) > 0 && (
          <Table label="What operators have done" columns={['When', 'Who', 'What', 'To', 'Refused']}>
            {audit.answer!.rows.map(({ at, actor, via, verb, target, failed, node }) => (
              <tr key={`${node} ${at} ${verb} ${target}`}>
                <td>{ago(at)}</td>
                <td>
                  {actor} <span class="faint">{via}</span>
                </td>
                <td>{verb}</td>
                <td class="mono">{target}</td>
                <td>{failed !== null && <Chip kind="bad">{failed}</Chip>}</td>
              </tr>
            ))}
          </Table>
        )}
      </Card>
    </>
  )
}

/** The last lines, the newest first, and those that come. */
function useLines(level: Level, match: string): { rows: readonly { row: LogRow; n: number }[]; error: ApiError | null } {
  const [state, set] = useState<{ rows: readonly { row: LogRow; n: number }[]; error: ApiError | null }>({ rows: [], error: null })
  useEffect(() => {
    let cursor: string | null = null
    let n = 0
    let rows: readonly { row: LogRow; n: number }[] = []
    const { stop } = whileSeen(async signal => {
      try {
        const answer = await ask('logs', { level, match, limit: 200, after: cursor }, signal)
        const isFirst = cursor === null
        cursor = answer.cursor
        if (answer.rows.length > 0 || isFirst) {
          rows = [...answer.rows.map(row => ({ row, n: n++ })).reverse(), ...rows].slice(0, rowsMax)
          set({ rows, error: null })
        }
      } catch (error) {
        if (!signal.aborted) set({ rows, error: asApiError(error) })
      }
      return everyMs
    })
    return stop
  }, [level, match])
  return state
}
