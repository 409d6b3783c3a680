import { OperatorError } from './errors.ts'
import type { ServiceMap } from './service-map.ts'

/** One owner for each service. A plugin depends on a service, never on another plugin's name. */
export class Services {
  readonly #owners = new Map<string, { plugin: string; service: unknown }>()

  /** Hands a service in; `plugin` names its owner. A second owner is the operator's mistake. */
  provide<K extends keyof ServiceMap>(name: K, service: ServiceMap[K], plugin: string): void {
    const owner = this.#owners.get(name)
    if (owner !== undefined) {
      throw new OperatorError('ERR_SERVICE_TWICE', `${plugin} and ${owner.plugin} both own service "${name}"; turn one of them off`)
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
