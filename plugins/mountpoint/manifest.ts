import { defineManifest } from '../kit/define-manifest.ts'

/** Gives clients parts of the topic tree of their own: each speaks of `lights/1`, which is `tenants/acme/lights/1` for everybody else. */
export const mountpointManifest = defineManifest({
  name: 'mountpoint',
  options: {
    /**
     * What stands before all topic names and filters of a client, with `/` at its end: `tenants/{username}/`. `{username}`, `{clientId}`, `{commonName}` (of a checked client
     * certificate) and `{listener}` (the listener's `name`: `socket`, `websocket`) stand for one level each; a client that has no such name, or one that is no level, is
     * refused. `null`: none, but at `listeners`.
     */
    prefix: { type: 'string', default: null },
    /** The same for the clients of single listeners, by the listener's name, in place of `prefix`: `{ office: 'office/' }`. */
    listeners: { type: 'object', values: { type: 'string', minLength: 1 }, default: {} },
    /** User names whose clients have no mount point and see all topics by their full names: the operator's own services. */
    except: { type: 'list', items: { type: 'string' }, default: [] },
    /** Lets clients with a mount point read `$SYS/…`, which tells of the whole broker. */
    sys: { type: 'boolean', default: false },
  },
})
