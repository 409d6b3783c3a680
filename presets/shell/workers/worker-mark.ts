/** The variable in the environment of a worker's process that says what it is. */
export const workerMark = 'WORKER_OF_MQTTX_BROKER'

/** This process was started by a supervisor. */
export function isWorkerProcess(env: Readonly<Record<string, string | undefined>>): boolean {
  return env[workerMark] === '1' && process.send !== undefined
}
