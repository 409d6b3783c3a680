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
          /** Their new topic name. `{topic}` stands for the old one, `{topic[1]}` for its second level, `{clientId}` for the publisher: one level, so a message of a client whose id holds `/`, `+` or `#` is refused. */
          to: { type: 'string', required: true, minLength: 1 },
        },
      },
    },
    /** Asks `onAuthorize` about the new topic name too, and refuses the message where its publisher may not publish there. Otherwise the rules may lead to topics that clients may not use. */
    authorise: { type: 'boolean', default: false, live: true },
  },
})
