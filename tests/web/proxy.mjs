/** A proxy in front of the service, which can disturb requests and responses. */

import { createServer, request as send } from "node:http";

const pipe = (source, target) => source.pipe(target);

/**
 * Starts a proxy that removes `prefix` from paths. `sendRequest(incoming, forwarded)` sends the body of a request, and
 * `sendResponse(response, outgoing, incoming)` that of its response. Returns {url, close()}.
 */
export async function startProxy(target, { prefix = "", sendRequest = pipe, sendResponse = pipe } = {}) {
  const server = createServer((incoming, outgoing) => {
    if (!incoming.url.startsWith(`${prefix}/`)) return outgoing.writeHead(404).end();
    const options = { method: incoming.method, headers: incoming.headers };
    const forwarded = send(new URL(incoming.url.slice(prefix.length), target), options, (response) => {
      outgoing.writeHead(response.statusCode, response.headers);
      response.on("error", () => outgoing.destroy());
      sendResponse(response, outgoing, incoming);
    });
    forwarded.on("error", () => outgoing.destroy());
    outgoing.on("close", () => outgoing.writableFinished || forwarded.destroy());
    sendRequest(incoming, forwarded);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://localhost:${server.address().port}${prefix}/`, close };
}
