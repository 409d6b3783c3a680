// An HTTP server that dies, hangs and lies: it writes down what it has been given before it answers, so that what it answered for is there when it has been killed.
// node webhook-receiver.mjs PORT FILE; it is told by messages how to answer from now on.
import { openSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'

const [port, path] = process.argv.slice(2)
const file = openSync(path, 'a')
let mode = 'ok'
process.on('message', said => {
  mode = said
})

const answers = {
  ok: response => response.writeHead(200).end(),
  fails: response => response.writeHead(500).end(),
  busy: response => response.writeHead(429, { 'retry-after': '1' }).end(),
  closes: response => response.socket.destroy(),
  breaksOff(response) {
    const { socket } = response
    response.writeHead(200, { 'content-length': 10 }).write('123', () => socket.destroy())
  },
  hangs() {},
  slow: response => setTimeout(() => response.writeHead(200).end(), 300),
}
// Some of what is answered wrongly has been taken all the same.
let count = 0

createServer((request, response) => {
  const chunks = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => {
    const now = mode
    count += 1
    const takes = now === 'ok' || now === 'slow' || count % 2 === 0
    if (takes) {
      const events = JSON.parse(Buffer.concat(chunks).toString())
      writeSync(file, events.map(({ id, topic, payload }) => `${id} ${topic} ${payload.split(' ', 1)[0]}\n`).join(''))
    }
    answers[now](response)
  })
}).listen(Number(port), '127.0.0.1', () => process.send('ready'))
