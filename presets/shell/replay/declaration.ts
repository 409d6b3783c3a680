import type { VerbDeclaration } from '../../../plugins/kit/verbs/define-verb.ts'

const text = { type: 'string', minLength: 1, default: null } as const

export const replayCommand = {
  name: 'replay',
  help: 'have the clients of a recording (trace --json) say to a broker what they said then, and tell where its answers differ',
  example: 'replay meter-7.jsonl --to mqtt://localhost:1884',
  role: 'read',
  yes: 'same',
  takes: {
    /** The recording: what trace ID --json has printed; -: standard input. */
    file: { type: 'string', minLength: 1, required: true },
    /** The broker: mqtt://HOST:PORT or mqtts://HOST:PORT. The clients of the recording connect to it by their own client ids, so take one for tests. */
    to: text,
    /** A file of lines USER:PASSWORD, since no recording has passwords. */
    credentials: text,
    /** The CA by which the certificate of an mqtts broker is checked, a PEM file. Those of the system where nothing is said. */
    ca: text,
    /** How long an answer is waited for. */
    wait: { type: 'duration', default: '5s', minimum: '1ms', maximum: '1h' },
    /** Say everything as long after one another as it was recorded, and not as soon as what came before it has been answered. */
    keepTime: { type: 'boolean', default: false },
    /** Talk to no broker: print the recording as a test of the kit (mqttx-broker/testing), for Vitest. */
    asTest: { type: 'boolean', default: false },
  },
  positional: ['file'],
} as const satisfies VerbDeclaration
