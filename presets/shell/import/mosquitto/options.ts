/** What an option of mosquitto.conf is about: the whole broker, the listener above it, who may do what (the whole broker or that listener), or the bridge above it. */
export type Scope = 'broker' | 'listener' | 'security' | 'bridge'

/** One option of mosquitto.conf. */
export interface ConfOption {
  readonly scope: Scope
  /** How the value is written. */
  readonly kind: 'boolean' | 'integer' | 'text'
  /** It may stand there several times. Default: once for each thing that it is about. */
  readonly repeats?: boolean
  /** The least and the most that mosquitto takes. */
  readonly range?: readonly [least: number, most: number]
  /** The values that there are. */
  readonly among?: readonly string[]
}

const options: [string, ConfOption][] = []

function define(option: ConfOption, ...names: string[]): void {
  for (const name of names) options.push([name, option])
}

define({ scope: 'security', kind: 'boolean' }, 'allow_anonymous', 'allow_zero_length_clientid', 'auth_plugin_deny_special_chars')
define({ scope: 'security', kind: 'text' }, 'password_file', 'acl_file', 'psk_file', 'auto_id_prefix')
define({ scope: 'security', kind: 'text', repeats: true }, 'plugin', 'auth_plugin', 'plugin_opt_', 'auth_opt_')

define({ scope: 'listener', kind: 'integer', range: [1, 65_535] }, 'port')
define({ scope: 'listener', kind: 'integer', range: [0, 65_535] }, 'max_topic_alias')
define({ scope: 'listener', kind: 'integer', range: [0, 2] }, 'max_qos')
define({ scope: 'listener', kind: 'integer' }, 'max_connections')
define({ scope: 'listener', kind: 'text' }, 'bind_address', 'bind_interface', 'http_dir', 'mount_point')
define({ scope: 'listener', kind: 'text', among: ['mqtt', 'mqttsn', 'websockets'] }, 'protocol')
define({ scope: 'listener', kind: 'text', among: ['ipv4', 'ipv6'] }, 'socket_domain')
define({ scope: 'listener', kind: 'boolean' }, 'use_username_as_clientid')
define({ scope: 'listener', kind: 'boolean' }, 'require_certificate', 'use_identity_as_username', 'use_subject_as_username')
define({ scope: 'listener', kind: 'text' }, 'cafile', 'capath', 'certfile', 'keyfile', 'crlfile', 'dhparamfile')
define({ scope: 'listener', kind: 'text' }, 'ciphers', 'ciphers_tls1.3', 'psk_hint', 'tls_engine', 'tls_engine_kpass_sha1')
define({ scope: 'listener', kind: 'text', among: ['pem', 'engine'] }, 'tls_keyform')
define({ scope: 'listener', kind: 'text', among: ['tlsv1.1', 'tlsv1.2', 'tlsv1.3'] }, 'tls_version')

define(
  { scope: 'broker', kind: 'boolean' },
  'allow_duplicate_messages',
  'autosave_on_changes',
  'check_retain_source',
  'connection_messages',
)
define({ scope: 'broker', kind: 'boolean' }, 'log_timestamp', 'per_listener_settings', 'persistence', 'retained_persistence')
define({ scope: 'broker', kind: 'boolean' }, 'queue_qos0_messages', 'retain_available', 'set_tcp_nodelay', 'upgrade_outgoing_qos')
define({ scope: 'broker', kind: 'integer', range: [10, 65_535] }, 'max_keepalive')
define({ scope: 'broker', kind: 'integer', range: [20, 268_435_460] }, 'max_packet_size')
define({ scope: 'broker', kind: 'integer', range: [0, 268_435_455] }, 'message_size_limit')
define({ scope: 'broker', kind: 'integer', range: [0, 65_535] }, 'sys_interval')
define({ scope: 'broker', kind: 'integer', range: [0, 7] }, 'log_facility')
define(
  { scope: 'broker', kind: 'integer', range: [0, Number.MAX_SAFE_INTEGER] },
  'autosave_interval',
  'max_inflight_bytes',
  'max_inflight_messages',
)
define({ scope: 'broker', kind: 'integer', range: [0, Number.MAX_SAFE_INTEGER] }, 'max_queued_bytes', 'max_queued_messages', 'memory_limit')
define({ scope: 'broker', kind: 'integer' }, 'retry_interval', 'websockets_log_level', 'websockets_headers_size')
define({ scope: 'broker', kind: 'text' }, 'clientid_prefixes', 'log_timestamp_format', 'persistence_file', 'persistence_location')
define({ scope: 'broker', kind: 'text' }, 'persistent_client_expiration', 'pid_file', 'user')
define({ scope: 'broker', kind: 'text', repeats: true }, 'log_dest', 'log_type')

define({ scope: 'bridge', kind: 'text', repeats: true }, 'topic', 'address')
define(
  { scope: 'bridge', kind: 'boolean' },
  'bridge_attempt_unsubscribe',
  'bridge_insecure',
  'bridge_outgoing_retain',
  'bridge_require_ocsp',
)
define({ scope: 'bridge', kind: 'boolean' }, 'cleansession', 'local_cleansession', 'notifications', 'notifications_local_only')
define({ scope: 'bridge', kind: 'boolean' }, 'round_robin', 'try_private')
define({ scope: 'bridge', kind: 'integer' }, 'bridge_max_packet_size', 'idle_timeout', 'threshold')
define({ scope: 'bridge', kind: 'integer', range: [5, 65_535] }, 'keepalive_interval')
define({ scope: 'bridge', kind: 'text', among: ['mqttv31', 'mqttv311', 'mqttv50'] }, 'bridge_protocol_version')
define({ scope: 'bridge', kind: 'text', among: ['automatic', 'lazy', 'once'] }, 'start_type')
define({ scope: 'bridge', kind: 'text' }, 'bridge_alpn', 'bridge_bind_address', 'bridge_cafile', 'bridge_capath', 'bridge_certfile')
define({ scope: 'bridge', kind: 'text' }, 'bridge_identity', 'bridge_keyfile', 'bridge_psk', 'bridge_tls_version', 'local_clientid')
define({ scope: 'bridge', kind: 'text' }, 'local_password', 'local_username', 'notification_topic', 'remote_clientid', 'remote_password')
define({ scope: 'bridge', kind: 'text' }, 'remote_username', 'restart_timeout')

/** Every option of mosquitto.conf(5), version 2.0, by its name. Not here are `listener`, `connection` and `include_dir`, which say what the lines below are about. */
export const confOptions: ReadonlyMap<string, ConfOption> = new Map(options)

/** Names of before, which mosquitto still reads. */
export const oldNames: Readonly<Record<string, string>> = {
  clientid: 'remote_clientid',
  username: 'remote_username',
  password: 'remote_password',
  maximum_qos: 'max_qos',
  addresses: 'address',
}

/** Options whose value nobody else is to read. */
export const secrets: ReadonlySet<string> = new Set(['local_password', 'remote_password', 'bridge_psk', 'tls_engine_kpass_sha1'])
