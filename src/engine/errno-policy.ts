/** What each errno of a port means: the whole policy on one screen. */
import { constants } from 'node:os';
import { PORT } from '../core/counters.js';
import { EBADFD } from '../native/system-error.js';

const { errno } = constants;

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
