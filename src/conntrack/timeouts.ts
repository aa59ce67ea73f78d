/**
 * Timeout classes (D.3). Each live flow is in one, and each class has one list ordered by the second a flow was last seen (C24): so a
 * timeout may be set at run time without touching a flow.
 *
 * Two profiles: `rfc` keeps what RFC 4787, 5382, 5508 and 7857 ask for; `kernel` has Linux's defaults. They differ most for half-closed
 * connections, which the kernel gives up after 60 to 120 s and RFC 5382 calls established (C20).
 */

export const TIMEOUT_CLASSES = [
  'tcpSynSent',
  'tcpSynSent2',
  'tcpSynRecv',
  'tcpEstablished',
  'tcpFinWait',
  'tcpCloseWait',
  'tcpLastAck',
  'tcpTimeWait',
  'tcpClose',
  'tcpPickedUp',
  'tcpRetransmitted',
  'tcpUnacknowledged',
  'tcpZeroWindow',
  'udpUnreplied',
  'udpStream',
  'icmpQuery',
  'greUnreplied',
  'greStream',
  'generic',
] as const;
export type TimeoutName = (typeof TIMEOUT_CLASSES)[number];
export type Timeouts = Readonly<Record<TimeoutName, number>>;

/** Number of each class. */
export const TimeoutClass = Object.freeze(Object.fromEntries(TIMEOUT_CLASSES.map((name, index) => [name, index]))) as Readonly<
  Record<TimeoutName, number>
>;

/** One more class, which nobody sets: flows that ended with the frame being handled. They count as absent at once. */
export const ENDED_CLASS = TIMEOUT_CLASSES.length;
export const CLASS_COUNT = ENDED_CLASS + 1;

/** Seconds; 0 for the three restrictions of an established connection means that they do not exist. */
export const TIMEOUTS_RFC: Timeouts = Object.freeze({
  tcpSynSent: 240,
  tcpSynSent2: 240,
  tcpSynRecv: 240,
  tcpEstablished: 432_000,
  tcpFinWait: 7440,
  tcpCloseWait: 7440,
  tcpLastAck: 240,
  tcpTimeWait: 120,
  tcpClose: 240,
  tcpPickedUp: 300,
  tcpRetransmitted: 0,
  tcpUnacknowledged: 0,
  tcpZeroWindow: 0,
  udpUnreplied: 300,
  udpStream: 300,
  icmpQuery: 60,
  greUnreplied: 30,
  greStream: 180,
  generic: 600,
});

export const TIMEOUTS_KERNEL: Timeouts = Object.freeze({
  tcpSynSent: 120,
  tcpSynSent2: 120,
  tcpSynRecv: 60,
  tcpEstablished: 432_000,
  tcpFinWait: 120,
  tcpCloseWait: 60,
  tcpLastAck: 30,
  tcpTimeWait: 120,
  tcpClose: 10,
  tcpPickedUp: 300,
  tcpRetransmitted: 300,
  tcpUnacknowledged: 300,
  tcpZeroWindow: 300,
  udpUnreplied: 30,
  udpStream: 120,
  icmpQuery: 30,
  greUnreplied: 30,
  greStream: 180,
  generic: 600,
});

/** Settings by name as the columns the tables use. The class of ended flows gets -1: past in the very second. */
export function timeoutColumn(timeouts: Timeouts): Int32Array {
  const column = new Int32Array(CLASS_COUNT);
  for (const name of TIMEOUT_CLASSES) {
    column[TimeoutClass[name]] = timeouts[name];
  }
  column[ENDED_CLASS] = -1;
  return column;
}
