import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { Family, Rtm } from '../../src/netlink/constants.js';
import { readMessages } from '../../src/netlink/message.js';
import { eventOf, NetworkMonitor } from '../../src/netlink/monitor.js';
import * as recorded from './recorded.js';
import { recordedBinding } from './recorded-binding.js';

describe('notifications', () => {
  test('are decoded in order, and a drain leaves none', () => {
    const { binding } = recordedBinding([], [recorded.link, recorded.routeTo]);
    const monitor = NetworkMonitor.open(binding);
    // routeTo is an entry of the route cache, which is not an event.
    expect(monitor.drain()).toMatchObject([{ kind: 'link', link: { name: 'eth0' } }]);
    expect(monitor.drain()).toEqual([]);
  });

  test('the kernel ran out of buffer: the caller is told to read again, later ones follow', () => {
    const { binding } = recordedBinding([], [-constants.errno.ENOBUFS, recorded.link]);
    expect(NetworkMonitor.open(binding).drain()).toMatchObject([{ kind: 'lost' }, { kind: 'link' }]);
  });

  test('a socket that is broken is an error', () => {
    const { binding } = recordedBinding([], [-constants.errno.EBADF]);
    expect(() => NetworkMonitor.open(binding).drain()).toThrow();
  });

  test('a port that leaves a kernel bridge is not a removed link', () => {
    const message = readMessages(recorded.link.slice())[0];
    message.type = Rtm.deleteLink;
    expect(eventOf(message)).toMatchObject({ kind: 'link-removed' });
    message.payload[0] = Family.bridge;
    expect(eventOf(message)).toBeUndefined();
  });
});
