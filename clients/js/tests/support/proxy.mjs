// A TCP proxy that knows where WebSocket frames end: it counts the frames of both directions together, and can cut a
// connection after any of them, refuse new ones, and hold back what the node says.

import { connect, createServer } from 'node:net';

/** The length of the first frame in `bytes`; 0: it is not whole yet. */
function frameLength(bytes) {
  if (bytes.length < 2) return 0;
  let length = bytes[1] & 0x7f;
  let head = 2;
  if (length === 126) {
    if (bytes.length < 4) return 0;
    length = bytes.readUInt16BE(2);
    head = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return 0;
    length = Number(bytes.readBigUInt64BE(2));
    head = 10;
  }
  const whole = head + (bytes[1] & 0x80 ? 4 : 0) + length;
  return bytes.length < whole ? 0 : whole;
}

/** Cuts a stream of bytes into the HTTP head and then frames. */
function splitter(take) {
  let rest = Buffer.alloc(0);
  let upgraded = false;
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      const end = rest.indexOf('\r\n\r\n');
      const length = upgraded ? frameLength(rest) : end + 4;
      if (upgraded ? length === 0 : end < 0) return;
      const part = rest.subarray(0, length);
      rest = rest.subarray(length);
      take(part, upgraded);
      upgraded = true;
    }
  };
}

/**
 * Starts a proxy before `target` (a URL). `cutAfter(connection)` gives the number of frames after which that connection,
 * counted from 1, is cut; undefined: never.
 */
export async function startProxy(target, { cutAfter = () => undefined } = {}) {
  const { hostname, port } = new URL(target);
  const open = new Set();
  const proxy = { connections: 0, frames: 0, refuses: false, holds: false, losesAnswer: false };
  const server = createServer((client) => {
    if (proxy.refuses) return client.destroy();
    proxy.connections += 1;
    const limit = cutAfter(proxy.connections);
    let frames = 0;
    const node = connect(Number(port), hostname);
    const pair = { client, node };
    const cut = () => {
      open.delete(pair);
      client.destroy();
      node.destroy();
    };
    pair.cut = cut;
    open.add(pair);
    const forward = (to, holds) => {
      const waiting = [];
      if (holds) pair.release = () => waiting.splice(0).forEach((part) => to.write(part));
      return splitter((part, isFrame) => {
        if (client.destroyed) return;
        if (isFrame && frames >= limit) return cut();
        if (holds && isFrame && proxy.losesAnswer) {
          proxy.losesAnswer = false;
          return cut();
        }
        if (holds && proxy.holds) return waiting.push(part);
        if (isFrame) {
          frames += 1;
          proxy.frames += 1;
        }
        // The cut comes once the frame is on its way.
        to.write(part, () => isFrame && frames >= limit && setTimeout(cut, 1));
      });
    };
    client.on('data', forward(node, false));
    node.on('data', forward(client, true));
    for (const socket of [client, node]) {
      socket.setNoDelay(true);
      socket.on('error', cut);
      socket.on('close', cut);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  /** Cuts what is open. */
  proxy.cut = () => [...open].forEach((pair) => pair.cut());
  /** Lets go what was held back. */
  proxy.release = () => {
    proxy.holds = false;
    for (const pair of open) pair.release();
  };
  proxy.stop = () => {
    proxy.cut();
    return new Promise((resolve) => server.close(resolve));
  };
  return proxy;
}
