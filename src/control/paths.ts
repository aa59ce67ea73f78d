/** Where the daemon is found and keeps its record, unless told otherwise; and what it and its clients must call alike. */
export const DEFAULT_SOCKET = '/run/tapbridge/tapbridge.sock';
export const DEFAULT_STATE = '/var/lib/tapbridge';
/** Header of the answer that streams a capture: the number to end it by. */
export const CAPTURE_HEADER = 'tapbridge-capture';
/** sun_path holds 108 bytes with the terminating NUL (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;

/** Why `path` cannot be a unix socket's, as a sentence; undefined when it can. */
export function socketPathProblem(path: string): string | undefined {
  if (path === '' || path.includes('\0')) return `${JSON.stringify(path)} is no path of a socket`;
  const bytes = Buffer.byteLength(path);
  if (bytes <= MAX_SOCKET_PATH_BYTES) return undefined;
  return `the socket path has ${bytes} bytes, the kernel allows ${MAX_SOCKET_PATH_BYTES}: ${path}`;
}
