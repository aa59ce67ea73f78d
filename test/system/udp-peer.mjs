/**
 * One end of a conversation in which every datagram's number, length and bytes are checked, run inside a namespace.
 *
 *     node udp-peer.mjs serve PORT                       prints "ready", takes datagrams until one says "end", prints what it saw
 *     node udp-peer.mjs send ADDRESS PORT COUNT WINDOW   sends COUNT datagrams, WINDOW of them in a row, then waits for an answer
 *
 * The window keeps sockets from overflowing: whatever is missing was lost on the way.
 */
import { createSocket } from 'node:dgram';
import { writeSync } from 'node:fs';

const [mode, ...rest] = process.argv.slice(2);
const END = 0xffffffff;
// Lengths that merge (runs of equal ones, a shorter one last), and lengths that do not.
const LENGTHS = [200, 200, 200, 200, 200, 90, 1400, 1400, 1400, 18, 18, 18, 18, 18, 18, 700, 800, 1472, 1472, 4];

function datagram(number) {
  const bytes = Buffer.alloc(LENGTHS[number % LENGTHS.length]);
  for (let at = 4; at < bytes.length; at++) {
    bytes[at] = (at * 7 + number * 13) & 0xff;
  }
  bytes.writeUInt32BE(number, 0);
  return bytes;
}

function serve(port) {
  const socket = createSocket('udp4');
  const seen = { count: 0, intact: 0, inOrder: 0 };
  socket.on('message', (message, from) => {
    const number = message.readUInt32BE(0);
    if (number === END) {
      writeSync(1, `${JSON.stringify(seen)}\n`);
      socket.close();
      return;
    }
    seen.inOrder += number === seen.count ? 1 : 0;
    seen.intact += message.equals(datagram(number)) ? 1 : 0;
    seen.count++;
    socket.send(message.subarray(0, 4), from.port, from.address);
  });
  socket.bind(port, () => writeSync(1, 'ready\n'));
}

async function send(address, port, count, window) {
  const socket = createSocket('udp4');
  let answered = 0;
  let wake = () => {};
  socket.on('message', () => {
    answered++;
    wake();
  });
  socket.connect(port, address);
  await new Promise((resolve) => socket.once('connect', resolve));
  for (let number = 0; number < count; ) {
    for (let burst = 0; burst < window && number < count; burst++) {
      socket.send(datagram(number++));
    }
    const deadline = Date.now() + 2000;
    while (answered < number && Date.now() < deadline) {
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, 100);
      });
    }
    if (answered < number) {
      break;
    }
  }
  const end = Buffer.alloc(4);
  end.writeUInt32BE(END, 0);
  socket.send(end, () => socket.close());
  writeSync(1, `${JSON.stringify({ answered })}\n`);
}

if (mode === 'serve') {
  serve(Number(rest[0]));
} else {
  await send(rest[0], Number(rest[1]), Number(rest[2]), Number(rest[3]));
}
