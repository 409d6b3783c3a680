import type { Server } from 'node:http'
import type { EditorFields } from './editor-fields.ts'

/** What is used of Node-RED's runtime. */
export interface NodeRed {
  /** Node-RED's own HTTP server, where the editor is. */
  readonly server: Server
  /** Node-RED's settings file, and what it adds. */
  readonly settings: { readonly userDir?: string; readonly httpNodeRoot?: string | false }
  /** The nodes of flows. */
  readonly nodes: {
    /** Makes a node of what the constructor of its type was called with. */
    createNode(node: RedNode, fields: object): void
    /** The node of an id, where it runs: a config node, for one. */
    getNode(id: string): unknown
    /** Makes a type known. */
    registerType(name: string, make: (this: RedNode, fields: EditorFields) => void, options: object): void
  }
}

/** What is used of a node in a flow. */
export interface RedNode {
  /** The node's id in the flow. */
  readonly id: string
  /** For each output, the ids of the nodes that it is wired to. Changes while the node runs. */
  readonly wires?: readonly (readonly string[])[]
  /** What the editor keeps apart from the flow, encrypted. */
  readonly credentials?: { readonly username?: string; readonly password?: string } | undefined
  /** Sends a message from each output; null: none. */
  send(messages: readonly (object | null)[]): void
  /** What stands below the node in the editor. */
  status(status: { fill?: 'red' | 'yellow' | 'green' | 'grey'; shape?: 'ring' | 'dot'; text?: string }): void
  /** Says what has failed; a Catch node gets it where there is a message. */
  error(text: string, message?: object): void
  /** Says what is probably not meant. */
  warn(text: string): void
  /** Says what one may want to know. */
  log(text: string): void
  /** Node-RED's `close`: the flow is deployed anew, or ends. `done` says that all is given back. */
  on(event: 'close', listener: (removed: boolean, done: () => void) => void): unknown
}

/** A config node of Node-RED's type `tls-config`. */
export interface TlsConfigNode {
  /** Whether its files could be read. */
  readonly valid: boolean
  /** The certificate in PEM. */
  readonly cert?: string | Buffer
  /** The private key in PEM. */
  readonly key?: string | Buffer
  /** The CAs in PEM. */
  readonly ca?: string | Buffer
  /** The password of the key. */
  readonly credentials?: { readonly passphrase?: string }
}
