// aedes' lib/client.js, of which tests want nothing but the class.
export { Client as default } from 'mqttx-broker/aedes'
