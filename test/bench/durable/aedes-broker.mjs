// aedes with its persistence on Redis, as that one's README shows it, on the ports that the bench gives.
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import redisPersistence from 'aedes-persistence-redis'

const [port, redisPort] = process.argv.slice(2).map(Number)
const persistence = redisPersistence({ host: '127.0.0.1', port: redisPort })
const broker = await Aedes.createBroker({ persistence })
createServer(broker.handle).listen(port, '127.0.0.1')
