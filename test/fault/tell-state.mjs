// A plugin for the fault tests: at SIGUSR2 its node says in one line what it knows of routes and durable sessions.
export default {
  name: 'tellState',
  apply({ broker }) {
    const tell = () => {
      const { own, peers } = broker.forwarder
      const sessions = {}
      const owned = []
      for (const session of broker.roster.sessions()) {
        if (!session.durable) continue
        sessions[session.clientId] = [...session.subscriptions.keys()].sort().join(' ')
        if (session.client !== null) owned.push(session.clientId)
      }
      const known = Object.fromEntries([...peers.all].map(peer => [peer.node.name, `${peer.rows.size} ${peer.hash}`]))
      console.log(
        `state ${JSON.stringify({ name: String(broker.settings.brokerId), routes: `${own.size} ${own.hash}`, known, sessions, owned })}`,
      )
    }
    process.on('SIGUSR2', tell)
    return {
      stop() {
        process.off('SIGUSR2', tell)
      },
    }
  },
}
