/** The lab of these tests sees what it claims to see. */
import { expect, test } from 'vitest';
import { ADDRESS, describeGateways, FramePort, stackCounters, udpServer } from '../../helpers/gateway.js';
import { makePacket } from '../../helpers/packet.js';

for (const checksums of ['checked', 'offloaded'] as const) {
  describeGateways(`lab, checksums ${checksums}`, { checksums }, (lab) => {
    test(`N32: garbage in an unfinished checksum is ${checksums === 'checked' ? 'found' : 'not seen'}`, async () => {
      const { router, far } = lab();
      const server = await udpServer(far);
      const macOf = (interfaces: { name: string; mac: string }[], name: string) =>
        interfaces.find((each) => each.name === name)?.mac ?? '';
      const packet = makePacket({
        source: macOf(router.interfaces(), 'r-far'),
        destination: macOf(far.namespace.interfaces(), 'eth0'),
        ipSource: ADDRESS.other,
        ipDestination: ADDRESS.far,
        destinationPort: server.port,
        partial: true,
      });
      packet.frame[41] ^= 0xff;
      const before = stackCounters(far)['Udp.InCsumErrors'];
      const port = new FramePort(router, 'r-far');
      port.send(packet.frame, packet.vnet);
      const heard = await far.request('hear', { socket: server.socket, timeoutMillis: 200 });
      const found = stackCounters(far)['Udp.InCsumErrors'] - before;
      expect([heard === null, found]).toEqual(checksums === 'checked' ? [true, 1] : [false, 0]);
      port.close();
      await far.request('shut', { socket: server.socket });
    });
  });
}
