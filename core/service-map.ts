/**
 * What one plugin owns and others use, by name: empty here. Each interface of a service adds its own line beside its declaration, and so do
 * plugins of users: `declare module 'mqttx-broker' { interface ServiceMap { … } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is filled by declaration merging.
export interface ServiceMap {}
