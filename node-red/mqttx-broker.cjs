// What Node-RED loads, which wants CommonJS and waits for a promise.
module.exports = async red => {
  const { default: registerNode } = await import('../dist/presets/node-red/index.js')
  registerNode(red)
}
