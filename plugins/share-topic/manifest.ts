import { defineManifest } from '../kit/define-manifest.ts'

export const shareTopicManifest = defineManifest({
  name: 'shareTopic',
  options: {
    /**
     * How the member of a shared group is picked: `round`, one after the other; `random`; `hash`, by the publisher's client
     * id, so that one publisher's messages go to one member while membership stands; `sticky`, one member until it is gone.
     */
    shareSubStrategy: { type: 'string', enum: ['round', 'random', 'hash', 'sticky'], default: 'round' },
  },
})
