/** One line of Prometheus' text format. */
export interface ParsedSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const name = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const label = `[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"`
const sampleLine = new RegExp(`^(${name})(?:\\{(${label}(?:,${label})*)?,?\\})? (\\S+)(?: -?\\d+)?$`)
const commentLine = new RegExp(`^# (HELP|TYPE) (${name})(?: (.*))?$`)

/**
 * Reads the text format 0.0.4 as strictly as its specification has it: each metric once, its HELP and TYPE before its samples and these together, no
 * sample twice, counters never negative. Throws where a scraper would.
 */
export function parseExposition(text: string): { samples: ParsedSample[]; types: Map<string, string> } {
  if (!text.endsWith('\n')) throw new Error('the last line must end with a line feed')
  const types = new Map<string, string>()
  const helps = new Set<string>()
  const done = new Set<string>()
  const seen = new Set<string>()
  const samples: ParsedSample[] = []
  let current = ''
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue
    if (line.startsWith('#')) {
      const comment = commentLine.exec(line)
      if (comment === null) throw new Error(`no comment that means anything: ${line}`)
      const [, kind, of, rest] = comment as unknown as [string, string, string, string | undefined]
      if (of !== current) {
        if (done.has(of)) throw new Error(`${of} stands in two places`)
        done.add(of)
        current = of
      }
      if (kind === 'TYPE') {
        if (types.has(of) || !/^(counter|gauge|histogram|summary|untyped)$/.test(rest ?? '')) throw new Error(`wrong type: ${line}`)
        types.set(of, rest!)
      } else if (helps.has(of)) throw new Error(`two HELP lines for ${of}`)
      else helps.add(of)
      continue
    }
    const match = sampleLine.exec(line)
    if (match === null) throw new Error(`no sample: ${line}`)
    const [, metric, labelText = '', valueText] = match as unknown as [string, string, string | undefined, string]
    const family =
      types.get(current) === 'histogram' || types.get(current) === 'summary' ? metric.replace(/_(bucket|sum|count)$/, '') : metric
    if (family !== current) throw new Error(`${metric} stands among the samples of ${current}`)
    const value =
      valueText === '+Inf' ? Number.POSITIVE_INFINITY : valueText === 'Nan' || valueText === 'NaN' ? Number.NaN : Number(valueText)
    if (Number.isNaN(value) && !/^nan$/i.test(valueText)) throw new Error(`no number: ${line}`)
    if (types.get(current) === 'counter' && !(value >= 0)) throw new Error(`a counter below zero: ${line}`)
    if (seen.has(`${metric}{${labelText}`)) throw new Error(`twice: ${line}`)
    seen.add(`${metric}{${labelText}`)
    const labels = Object.fromEntries(
      [...labelText.matchAll(new RegExp(label, 'g'))].map(([pair]) => {
        const equals = pair.indexOf('=')
        return [pair.slice(0, equals), JSON.parse(pair.slice(equals + 1)) as string]
      }),
    )
    samples.push({ name: metric, labels, value })
  }
  return { samples, types }
}
