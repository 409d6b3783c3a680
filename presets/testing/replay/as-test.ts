/** A recording as a test of the kit, for Vitest: it holds as long as a broker of the config that is put into it answers as it was recorded. */
export function asTest(file: string, pieces: readonly unknown[]): string[] {
  const ids = [...new Set(pieces.flatMap(piece => ((piece as { id?: string }).id === undefined ? [] : [(piece as { id: string }).id])))]
  const title = `${ids.slice(0, 3).join(', ')}${ids.length > 3 ? ` and ${ids.length - 3} more` : ''}: what they were answered is what they are answered`
  return [
    `// Made by: mqttx-broker replay ${file.replaceAll(/[^\w./-]/g, '_')} --asTest`,
    "import { createTestBroker, replay } from 'mqttx-broker/testing'",
    "import { expect, test } from 'vitest'",
    '',
    'const recording = [',
    ...pieces.map(piece => `  ${JSON.stringify(piece)},`),
    ']',
    '',
    `test(${JSON.stringify(title)}, async () => {`,
    '  // The config, and the plugins, that are to answer like that.',
    '  const broker = await createTestBroker({})',
    '  try {',
    '    // Passwords are in no recording: passwordOf: username => …',
    '    const { rows } = await replay(recording, { connect: () => broker.stream() })',
    '    expect(rows).toEqual([])',
    '  } finally {',
    '    await broker.stop()',
    '  }',
    '})',
  ]
}
