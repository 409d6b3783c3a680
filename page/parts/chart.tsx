import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { useDark } from '../theme.ts'

/** One line of a chart. */
export interface Line {
  readonly name: string
  /** The variable of the stylesheet that has its colour: `--blue`. */
  readonly colour: string
  readonly values: readonly (number | null)[]
}

/** Lines over time, with their present values beside the title, or those under the pointer. */
export function Chart({
  title,
  times,
  lines,
  unit,
  say,
}: {
  readonly title: string
  /** Milliseconds since the Unix epoch. */
  readonly times: readonly number[]
  readonly lines: readonly Line[]
  /** What stands behind a value. */
  readonly unit: string
  say(value: number): string
}) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [under, setUnder] = useState<number | null>(null)
  const dark = useDark()
  const data = useMemo(
    () => [times.map(at => at / 1000), ...lines.map(({ values }) => values)] as unknown as uPlot.AlignedData,
    [times, lines],
  )
  const shape = lines.map(({ name }) => name).join()

  useEffect(() => {
    const colour = (name: string): string => colourOf(place.current!, name)
    const grid = { stroke: colour('--line'), width: 1 }
    const axis = { stroke: colour('--faint'), grid, ticks: { show: false }, font: '11px Inter, system-ui, sans-serif' }
    const made = new uPlot(
      {
        width: place.current!.clientWidth,
        height: place.current!.clientHeight,
        padding: [8, 4, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { y: { range: (_plot, _least, most) => [0, most > 0 ? most * 1.15 : 1] } },
        axes: [
          { ...axis, grid: { show: false }, space: 70, size: 28, values: (_plot, at) => at.map(second => clock(second)) },
          { ...axis, space: 36, size: 46, values: (_plot, at) => at.map(value => say(value)) },
        ],
        series: [
          {},
          ...lines.map(({ name, colour: of }, i) => ({
            label: name,
            stroke: colour(of),
            width: 1.75,
            points: { show: false },
            ...(i === 0 ? { fill: faded(colour(of)) } : {}),
          })),
        ],
        hooks: { setCursor: [({ cursor }) => setUnder(cursor.idx ?? null)] },
      },
      data,
      place.current!,
    )
    plot.current = made
    const resized = new ResizeObserver(([entry]) =>
      made.setSize({ width: Math.floor(entry!.contentRect.width), height: Math.floor(entry!.contentRect.height) }),
    )
    resized.observe(place.current!)
    return () => {
      resized.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [dark, shape])
  useEffect(() => plot.current?.setData(data), [data])

  const at = under ?? times.length - 1
  const said = lines.map(({ name, values }) => ({ name, value: values[at] ?? null }))
  return (
    <section class="card chart" aria-label={title}>
      <div class="card-head">
        <h2>{title}</h2>
        <div class="legend">
          {said.map(({ name, value }, i) => (
            <span key={name}>
              <i class={`swatch ${lines[i]!.colour.slice(2)}`} />
              {name} <b>{value === null ? '–' : say(value)}</b>
              {value === null ? '' : unit}
            </span>
          ))}
        </div>
      </div>
      <div
        class="plot"
        ref={place}
        role="img"
        aria-label={`${title}: ${said.map(({ name, value }) => `${name} ${value === null ? 'unknown' : `${say(value)}${unit}`}`).join(', ')}`}
      />
    </section>
  )
}

function clock(second: number): string {
  return new Date(second * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
}

/** What a variable of the stylesheet comes to in this theme. */
function colourOf(within: HTMLElement, name: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(${name})`
  within.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}

function faded(colour: string): string {
  return colour.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.1)')
}
