/** A TCP proxy between a client and the service, whose connections a test can cut. */

import { connect, createServer } from "node:net";

export async function startProxy(port) {
  const sockets = new Set();
  const proxy = {
    /** How many bytes of requests have passed. */
    passed: 0,
    /** Requests stop when this number of bytes has passed. */
    pauseAt: Infinity,
    isPaused: false,
    /** Whether connections are refused, and how many were. */
    isDown: false,
    refused: 0,
    /** Called after each part of a request has passed. */
    onRequest: () => {},
    /** Called with each part of a response. Returns whether it is forwarded. */
    onResponse: () => true,
    cut() {
      proxy.isPaused = false;
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    async stop() {
      proxy.cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const server = createServer((client) => {
    if (proxy.isDown) {
      proxy.refused += 1;
      client.destroy();
      return;
    }
    const upstream = connect(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (data) => {
      // A slow receiver stops the sender, so that the bytes that have passed are those that the service has read.
      if (!upstream.write(data)) {
        client.pause();
        upstream.once("drain", () => proxy.isPaused || client.resume());
      }
      proxy.passed += data.length;
      if (proxy.passed >= proxy.pauseAt) {
        proxy.isPaused = true;
        client.pause();
      }
      proxy.onRequest(data);
    });
    upstream.on("data", (data) => proxy.onResponse(data) && client.write(data));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  return proxy;
}
