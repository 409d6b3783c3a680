import { defineManifest } from '../kit/define-manifest.ts'

/** Gives messages other topic names, by rules; the first whose filter matches decides. */
export const rewriteManifest = defineManifest({
  name: 'rewrite',
  options: {
    /** The rules, in order. */
    rules: {
      type: 'list',
      live: true,
      default: [],
      items: {
        type: 'object',
        properties: {
          /** The messages: a topic filter. */
          filter: { type: 'string', required: true, minLength: 1 },
          /** Their new topic name. `{topic}` stands for the old one, `{topic[1]}` for its second level, `{clientId}` for the publisher. */
          to: { type: 'string', required: true, minLength: 1 },
        },
      },
    },
  },
})
