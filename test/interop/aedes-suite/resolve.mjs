// Where the imports of aedes' tests lead. Nothing of aedes, aedes-persistence or mqemitter is loaded.
const inside = new URL('insides.mjs', import.meta.url).href
const places = {
  '../aedes.js': 'mqttx-broker/aedes',
  '../lib/client.js': new URL('client.mjs', import.meta.url).href,
  '../package.json': 'mqttx-broker/package.json',
  'aedes-persistence': inside,
  mqemitter: inside,
  'node:test': new URL('timed.mjs', import.meta.url).href,
}
const isTest = parentURL => parentURL !== undefined && /\/test\/[^/]+\.c?js$/.test(parentURL) && !parentURL.includes('/node_modules/')

export function resolve(specifier, context, nextResolve) {
  if (!isTest(context.parentURL)) return nextResolve(specifier, context)
  const place = places[specifier] ?? (specifier.startsWith('../lib/') ? inside : undefined)
  // Packages come from this project, so that aedes' own need not be installed.
  if (place !== undefined || !/^(\.|node:)/.test(specifier))
    return nextResolve(place ?? specifier, { ...context, parentURL: import.meta.url })
  return nextResolve(specifier, context)
}
