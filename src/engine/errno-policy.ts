/** What each errno of a port means: the whole policy on one screen. */
import { constants } from 'node:os';
import { PORT } from '../core/counters.js';

const { errno } = constants;

/** The kernel's EBADFD, which Node does not name: a TAP whose interface is gone answers it (drivers/net/tun.c). */
const EBADFD = 77;

/** Counter of a frame the kernel did not take. */
export function txCounterOf(error: number): number {
  switch (error) {
    case errno.EAGAIN:
    case errno.ENOBUFS:
    case errno.ENOMEM:
      return PORT.tx_full;
    case errno.EMSGSIZE:
      return PORT.tx_too_big;
    case errno.EIO: // TAP whose interface is down
    case errno.ENETDOWN: // packet socket whose interface is down
    case errno.ENXIO:
    case errno.ENODEV:
    case errno.EBADF:
    case EBADFD:
      return PORT.tx_port_down;
    default:
      return PORT.tx_refused;
  }
}
