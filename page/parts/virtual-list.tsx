import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

// Above and below what is seen, so that a short scroll shows no gap.
const spare = 8
// However tall the window is.
const rowsMax = 56

/** A table of any length of which only the rows that are seen are in the document. All rows have one height, `--row` of the stylesheet. */
export function VirtualList<R>({
  label,
  head,
  rows,
  keyOf,
  row,
  reached,
  columns,
  foot,
}: {
  readonly label: string
  /** The cells of the head. */
  readonly head: ComponentChildren
  readonly rows: readonly R[]
  keyOf(row: R): string
  /** The cells of a row. */
  row(row: R): ComponentChildren
  /** The last rows are seen: more could be asked for. */
  reached?(): void
  /** The class that says how wide the columns are. */
  readonly columns: string
  readonly foot?: ComponentChildren
}) {
  const frame = useRef<HTMLDivElement>(null)
  const [seen, set] = useState({ from: 0, to: rowsMax, height: 44 })

  const measure = (): void => {
    const { scrollTop, clientHeight } = frame.current!
    const height = Number.parseFloat(getComputedStyle(frame.current!).getPropertyValue('--row')) || 44
    const from = Math.max(0, Math.floor(scrollTop / height) - spare)
    const to = Math.min(from + rowsMax, Math.ceil((scrollTop + clientHeight) / height) + spare)
    set(before => (before.from === from && before.to === to && before.height === height ? before : { from, to, height }))
  }

  useLayoutEffect(() => {
    measure()
    const resized = new ResizeObserver(measure)
    resized.observe(frame.current!)
    return () => resized.disconnect()
  }, [])
  useLayoutEffect(() => {
    if (seen.to >= rows.length - spare) reached?.()
  }, [seen.to, rows.length, reached])

  const shown = rows.slice(seen.from, seen.to)
  return (
    <div class={`virtual ${columns}`}>
      <div
        class="virtual-frame"
        ref={frame}
        onScroll={measure}
        tabIndex={0}
        role="table"
        aria-label={label}
        aria-rowcount={rows.length + 1}
      >
        <div class="virtual-head" role="row" aria-rowindex={1}>
          {head}
        </div>
        <div class="virtual-body" role="rowgroup" style={{ height: `${rows.length * seen.height}px` }}>
          {shown.map((one, i) => (
            <div
              key={keyOf(one)}
              class="virtual-row"
              role="row"
              aria-rowindex={seen.from + i + 2}
              style={{ transform: `translateY(${(seen.from + i) * seen.height}px)` }}
            >
              {row(one)}
            </div>
          ))}
        </div>
      </div>
      {foot !== undefined && <div class="virtual-foot">{foot}</div>}
    </div>
  )
}
