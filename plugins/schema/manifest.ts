import { defineManifest } from '../kit/define-manifest.ts'

/** Checks that payloads are JSON of the shape that a JSON Schema says, by topic filter. A message must fit every rule whose filter matches. */
export const schemaManifest = defineManifest({
  name: 'schema',
  options: {
    /** The rules. */
    rules: {
      type: 'list',
      live: true,
      default: [],
      items: {
        type: 'object',
        properties: {
          /** The messages: a topic filter. */
          filter: { type: 'string', required: true, minLength: 1 },
          /** The JSON Schema, draft-07 or 2020-12 (by its `$schema`; 2020-12 where it says nothing), or the file that it is in, relative to the config's folder. */
          schema: { type: 'any', required: true },
          /** What happens to a message that does not fit: it is refused (MQTT 5: 0x99; before, as `mqtt.deniedPublish` says), acknowledged and dropped, or sent to the quarantine topic instead. */
          onInvalid: { type: 'string', enum: ['refuse', 'drop', 'quarantine'], default: 'refuse' },
          /** That topic. `{topic}` stands for the topic name, `{topic[1]}` for its second level, `{clientId}` for the publisher: one level, so a message of a client whose id holds `/`, `+` or `#` is refused. */
          quarantine: { type: 'string', minLength: 1, default: 'quarantine/{topic}' },
        },
      },
    },
  },
})
