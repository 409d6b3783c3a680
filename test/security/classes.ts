/** A class of security problem that another broker had, and where it is shown that this one has not. */
export interface ProblemClass {
  readonly problem: string
  /** Where it was found. */
  readonly seenIn: string
  /**
   * Test files, and what the test in it is called, or a part of that; `%i` stands for anything. Each run of such a file looks that the
   * test is there, passes and has asserted something: see shown.ts.
   */
  readonly shownBy: readonly (readonly [file: string, name: string])[]
}

// The attacks of both tables are tests of one file.
const others = 'security/hostile.test.ts'
const protocol = others

export const problemClasses: readonly ProblemClass[] = [
  {
    problem: 'A user name or client id that holds a wildcard widens a rule',
    seenIn: 'CVE-2017-7650, nanomq#2344',
    shownBy: [
      [others, 'user names and client ids that hold wildcards'],
      ['plugins/topic-security.test.ts', 'that deny by name cannot be slipped past with a name that is more than one'],
    ],
  },
  {
    problem: 'Clients that nobody has let in eat memory',
    seenIn: 'CVE-2017-7651, CVE-2023-0809, mochi#502',
    shownBy: [
      [protocol, 'CONNECT a byte at a time and never whole (slow loris), and connections that say nothing'],
      [protocol, 'a length of 256 MiB, announced in CONNECT and in PUBLISH'],
      [protocol, 'bytes that are nothing: noise, HTTP, a TLS handshake'],
      ['protocol/fuzz.test.ts', 'what a length field announces is neither allocated nor waited for beyond the limit'],
    ],
  },
  {
    problem: 'Crafted packets exhaust memory or end the process',
    seenIn: 'CVE-2021-33176, CVE-2023-3592, CVE-2024-50948, CVE-2024-42645',
    shownBy: [
      [protocol, 'a mebibyte of user properties: in CONNECT, in a will, in a PUBLISH to oneself'],
      [protocol, 'every packet of the table of invalid ones, whole and a byte at a time'],
      ['fuzz/connection.test.ts', 'harms nobody but itself'],
    ],
  },
  {
    problem: 'QoS 2 exchanges that are never finished leak',
    seenIn: 'CVE-2023-28366',
    shownBy: [[protocol, 'QoS 2 messages that are never released']],
  },
  {
    problem: 'A topic that is empty, begins with $, or has very many levels ends the process, by a will too',
    seenIn: 'CVE-2021-34432, CVE-2018-12543, GHSA-xxqp-5qx8-gj5q',
    shownBy: [
      [protocol, 'topics and filters of thousands of levels'],
      [others, 'publishing to $SYS, to $share and elsewhere where it may not, by will too'],
      [protocol, 'every packet of the table of invalid ones, whole and a byte at a time'],
    ],
  },
  {
    problem: 'Clients publish to $SYS or $CONTROL',
    seenIn: 'aedes#597, mosquitto 2.0.16',
    shownBy: [[others, 'publishing to $SYS, to $share and elsewhere where it may not, by will too']],
  },
  {
    problem: 'A reader that has stopped holds everybody up',
    seenIn: 'aedes#1060',
    shownBy: [
      [protocol, 'messages that are never read: 24 MiB for a reader at QoS 0 and for one at QoS 1'],
      ['transports/websocket.test.ts', 'a reader that has stopped costs a bounded amount, and is served again when it reads'],
    ],
  },
  {
    problem: 'Queues towards a client, or from it, have no bound',
    seenIn: 'CVE-2024-48077',
    shownBy: [
      [protocol, 'questions whose answers are never read: pings, PUBREL, QoS 1'],
      ['transports/websocket.test.ts', 'a client that floods pings and reads nothing gets a bounded number of pongs'],
    ],
  },
  {
    problem: "A client sends packets that are a server's",
    seenIn: 'CVE-2021-28166',
    shownBy: [[protocol, 'every packet of the table of invalid ones, whole and a byte at a time']],
  },
  {
    problem: 'A length of five bytes is taken, or a WebSocket frame that is shorter than the packet in it',
    seenIn: 'CVE-2026-21888, CVE-2026-25627',
    shownBy: [
      [protocol, 'every packet of the table of invalid ones, whole and a byte at a time'],
      ['transports/websocket.test.ts', 'packets begin and end anywhere in messages: several in one, one in many'],
    ],
  },
  {
    problem: 'A retained message, a subscription or a half-done exchange outlives the right to it',
    seenIn: 'CVE-2018-12546, CVE-2021-34434, mosquitto 2.0.12',
    shownBy: [
      ['security/rights.test.ts', 'is withheld from new subscribers once he who published it may no longer do so'],
      ['security/rights.test.ts', 'loses the subscriptions that its client may no longer have, before anything else is sent'],
      ['security/rights.test.ts', 'publishes nothing more by a QoS 2 handshake that was half done when its rights went'],
    ],
  },
  {
    problem: 'No rules are taken for all rights; a broken line of a password file lets somebody in',
    seenIn: 'CVE-2018-12550, CVE-2018-12551',
    shownBy: [
      ['plugins/topic-security.test.ts', 'none given means none'],
      ['plugins/topic-security.test.ts', 'that is empty allows nothing'],
      ['plugins/auth-file.test.ts', 'an empty file lets nobody in'],
    ],
  },
  {
    problem: 'A huge keep-alive, or none, holds a place for ever',
    seenIn: 'CVE-2020-13849',
    shownBy: [['plugins/limits-packets.test.ts', 'limits.maxKeepAlive bounds a keep-alive of %i: MQTT 5 is told, and it holds']],
  },
  {
    problem: 'A hostile or broken server at the other end of a bridge ends the broker',
    seenIn: 'mosquitto 2.0.19, nanomq#2145',
    shownBy: [
      ['bridge/hostile.test.ts', 'a server that speaks no Kafka, hangs up or never ends harms the bridge alone'],
      ['mqtt-bridge/hostile.test.ts', 'costs the other broker its connection, and nothing of it is believed'],
      ['mqtt-bridge/hostile.test.ts', 'one that wants answers without end and reads none is broken off from'],
      ['mqtt-bridge/hostile.test.ts', 'whatever bytes come in place of packets, this broker goes on'],
    ],
  },
  {
    problem: 'A message that one side of a bridge cannot take is sent again and again, and holds up all behind it',
    seenIn: 'this broker, before',
    shownBy: [
      ['mqtt-bridge/hostile.test.ts', 'exactly once: a message that this broker would close the connection on is refused by itself'],
      [
        'mqtt-bridge/verdicts.test.ts',
        'a message on which the other broker closes the connection, before MQTT 5, is parked, and the others get through',
      ],
    ],
  },
  {
    problem: "Another broker's config becomes code, orders to a terminal, or reading without end",
    seenIn: 'this broker, before',
    shownBy: [
      ['import/hostile-conf.test.ts', 'becomes neither code in the config nor orders to a terminal'],
      ['import/hostile-conf.test.ts', 'include_dir with %i is refused'],
    ],
  },
  {
    problem: 'Leaving a shared subscription ends a plain one, or the other way round',
    seenIn: 'mosquitto 2.0.19',
    shownBy: [
      ['plugins/share-topic.test.ts', 'keeps $share/g/t, $share/h/t and t apart: a client that has all three gets three copies'],
      ['plugins/share-topic.test.ts', 'lets a member leave by UNSUBSCRIBE of the whole filter only'],
    ],
  },
  {
    problem: 'A certificate whose name is no text is taken for a user',
    seenIn: 'mosquitto 2.0.16',
    shownBy: [
      [
        'plugins/auth-certificate.test.ts',
        'a client without one is left to the next plugin where none is required; a bad one never is let in by it',
      ],
    ],
  },
  {
    problem: 'One plugin of several lets in whom another would have refused, or a failing one lets everybody in',
    seenIn: 'emqx#9693, emqx#18232',
    shownBy: [
      ['hooks/connecting.test.ts', 'calls all taps in turn until one refuses, and none can admit'],
      ['plugins/topic-security.test.ts', 'other plugins may refuse what is allowed, and those that come later cannot allow what is denied'],
      ['plugins/auth-http.test.ts', 'no server at that address: 3, and 0x88'],
    ],
  },
  {
    problem: 'Packets behind a CONNECT are carried out before it is admitted',
    seenIn: 'mosca#184',
    shownBy: [
      ['security/classes.test.ts', 'what comes behind a CONNECT waits until that is admitted, and is forgotten where it is refused'],
    ],
  },
  {
    problem: 'Secrets stand in logs and answers, or files can be read by everybody',
    seenIn: 'emqx#17653, emqx#17657, CVE-2017-9868',
    shownBy: [
      ['security/secrets.test.ts', 'passwords stand in no log line, whatever is traced and whatever fails'],
      ['plugins/disk-folder.test.ts', 'the folder and all that is in it can be read by the owner only'],
    ],
  },
  {
    problem: 'A half-made TLS section, or no authentication, opens a port to everybody',
    seenIn: 'mosquitto 2.0.12',
    shownBy: [
      ['transports/certificates.test.ts', 'a listener that asks for TLS where there is no certificate is one line'],
      ['process/listeners.test.ts', 'binds to loopback alone, in both families, while anybody may connect, whatever host says'],
    ],
  },
  {
    problem: 'Guessing passwords is free',
    seenIn: 'most brokers',
    shownBy: [[others, 'guessing passwords, from one address']],
  },
  {
    problem: 'Whoever knows a client id takes the session over, and its queue with it',
    seenIn: 'most brokers',
    shownBy: [
      [others, 'the session of somebody else, by its client id'],
      ['security/owners.test.ts', 'a stranger with the client id of a connected client is refused, and the client notices nothing'],
    ],
  },
  {
    problem: 'A user that is deleted stays connected',
    seenIn: 'most brokers',
    shownBy: [[others, 'a user that is taken out of the password file while connected']],
  },
  {
    problem: "A web page anywhere uses a broker on the reader's own machine",
    seenIn: 'most brokers',
    shownBy: [
      ['transports/origins.test.ts', 'pages of this machine alone may connect: nobody authenticates'],
      ['transports/origins.test.ts', 'a program, which names no origin, may connect; Host is not asked'],
    ],
  },
]
