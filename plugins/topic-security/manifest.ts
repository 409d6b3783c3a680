import { defineManifest } from '../kit/define-manifest.ts'

/**
 * Who may publish and subscribe to what: by rules, the first that fits decides, and where none does by the rights of the authentication
 * answer. What neither allows is denied. `enableTopicSubPubSecure: true` turns it on too, and it comes on by itself where an authentication plugin grants rights.
 */
export const topicSecurityManifest = defineManifest({
  name: 'topicSecurity',
  rootOptions: {
    /** Turns `topicSecurity` on: a client may publish and subscribe to what its rights name, and without rights to nothing. */
    enableTopicSubPubSecure: { type: 'boolean', default: false },
  },
  rootOptionsWhenOff: {
    enableTopicSubPubSecure:
      'topicSecurity is off, so nobody would check rights; leave topicSecurity: false out, or enableTopicSubPubSecure, and check them in a plugin of your own that taps onAuthorize',
  },
  turnedOnBy: 'enableTopicSubPubSecure',
  whereRightsAreGranted: { withoutRights: 'pass' },
  options: {
    /** The rules, in order. Each says `allow` or `deny`. */
    rules: {
      type: 'list',
      live: true,
      default: [],
      items: {
        type: 'object',
        properties: {
          /** What the rule allows. */
          allow: { type: 'string', enum: ['publish', 'subscribe', 'all'] },
          /** What the rule denies. A subscription is denied where anything that it matches is. */
          deny: { type: 'string', enum: ['publish', 'subscribe', 'all'] },
          /** Topic filters. `%u` stands for the user name, `%c` for the client id; for a client whose name holds `+`, `#` or `/` an allowing rule with it does not apply, and a denying one denies everything. */
          topics: { type: 'list', required: true, minItems: 1, items: { type: 'string', minLength: 1 } },
          /** The users that it is about; everybody where it is left out. */
          users: { type: 'list', items: { type: 'string', minLength: 1 } },
          /** It is about clients without a user name, beside those of `users`. */
          anonymous: { type: 'boolean' },
          /** The listeners whose clients it is about, by their names; those of every listener where it is left out. Of a client that has not been connected since the broker began nothing is known: an allowing rule does not apply then, and a denying one does. */
          listeners: { type: 'list', items: { type: 'string', minLength: 1 } },
          /** The clients that it is about; all of them where it is left out. A client chooses its id by itself. */
          clientIds: { type: 'list', items: { type: 'string', minLength: 1 } },
        },
      },
    },
    /** A file with further rules, which stand behind those above: a list of the same, in JSON or YAML. Relative to the config's folder. */
    rulesFile: { type: 'string', default: null, minLength: 1 },
    /** How often that file is looked at, and taken up where it has changed: connected clients lose what they may no longer have. `null`: never. */
    checkFileEvery: { type: 'duration', default: '2s', minimum: '100ms', nullable: true },
    /** What a client may do where no rule fits and its authentication answer has no list (of topic filters to publish to, or to subscribe to): nothing, or everything. Where the plugin comes on by itself, because another one grants rights, it is `pass`: then the lists count that an answer names. */
    withoutRights: { type: 'string', enum: ['deny', 'pass'], default: 'deny', live: true },
    /** When it is judged what a client may subscribe to: at `subscription`, where all that a filter matches must be allowed; or at each `delivery`, as mosquitto does, where every filter is granted and what the client may not have is left out. */
    readRights: { type: 'string', enum: ['subscription', 'delivery'], default: 'subscription' },
    /** Leaves out a retained message that its publisher might not publish any more. Judged by the rules alone. */
    retainedSource: { type: 'boolean', default: false },
    /** What a denied publish leads to: a refusal (MQTT 5: 0x87; before, as `mqtt.deniedPublish` says), an acknowledgement and nothing else, or a closed connection. */
    deniedPublish: { type: 'string', enum: ['refuse', 'drop', 'close'], default: 'refuse', live: true },
  },
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A rule of `topicSecurity` is wrong. */
    ERR_RULES: true
  }
}
