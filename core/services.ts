import { OperatorError } from './errors.ts'
import type { ServiceMap } from './service-map.ts'

/** One owner for each service. A plugin depends on a service, never on another plugin's name. */
export class Services {
  readonly #owners = new Map<string, { plugin: string; service: unknown }>()
  readonly #withheld = new Set<string>()

  /** Services of a plugin that the config has given to others: it does not provide them. @internal */
  withhold(plugin: string, services: readonly string[]): void {
    for (const name of services) this.#withheld.add(`${plugin} ${name}`)
  }

  /**
   * Hands a service in; `plugin` names its owner. Where the config has given the service to another plugin, nothing happens, and `ownerOf` says so. A second owner is
   * the operator's mistake (`ERR_SERVICE_TWICE`).
   */
  provide<K extends keyof ServiceMap>(name: K, service: ServiceMap[K], plugin: string): void {
    if (this.#withheld.has(`${plugin} ${name}`)) return
    const owner = this.#owners.get(name)
    if (owner !== undefined) {
      const cure = `turn one of them off, or name the service in the "provides" of the one that is to own it`
      throw new OperatorError('ERR_SERVICE_TWICE', `${plugin} and ${owner.plugin} both own service "${name}"; ${cure}`)
    }
    this.#owners.set(name, { plugin, service })
  }

  /** Whether a plugin owns the service. */
  has(name: keyof ServiceMap): boolean {
    return this.#owners.has(name)
  }

  /** The plugin that owns a service, for messages. */
  ownerOf(name: keyof ServiceMap): string | undefined {
    return this.#owners.get(name)?.plugin
  }

  /** The service; `undefined`: no plugin owns it. */
  find<K extends keyof ServiceMap>(name: K): ServiceMap[K] | undefined {
    return this.#owners.get(name)?.service as ServiceMap[K] | undefined
  }

  /** The service, or an `ERR_SERVICE_MISSING` that names it. */
  get<K extends keyof ServiceMap>(name: K): ServiceMap[K] {
    const service = this.find(name)
    if (service === undefined)
      throw new OperatorError('ERR_SERVICE_MISSING', `service "${name}" has no owner; add a plugin that provides it`)
    return service
  }
}
