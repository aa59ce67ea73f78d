/**
 * Notes for a daemon that is not running: ports whose containers ended meanwhile. A front end that cannot wait for the daemon (CNI's DEL is never
 * repeated) leaves one here; the daemon carries them out when it starts.
 */

/** Directory in the daemon's state directory; a file `<port>.json` for each. */
export const NOTES = 'cni-pending';
export const NOTE_VERSION = 1;

export interface DetachNote {
  version: number;
  bridge: string;
  port: string;
  /** Of the container the port was attached for: another one behind a port of that name is left alone. */
  container: string;
}
