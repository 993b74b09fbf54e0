/** Serves the pages of tests and examples from an origin of their own. */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { ROOT } from "../web/service.mjs";

export const BUNDLE = join(ROOT, "tests/sdk/node_modules/image-upload-service/dist/browser.js");
const TYPES = { ".html": "text/html", ".js": "text/javascript" };

/** `find` returns the content of a path, or null. */
export async function servePages(port, find) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const path = pathname === "/" ? "/index.html" : pathname;
    const content = path === "/image-upload-service.js" ? readFileSync(BUNDLE) : find(path);
    // Browsers request an icon, and report a missing one as an error.
    const status = path === "/favicon.ico" ? 204 : content === null ? 404 : 200;
    response.writeHead(status, { "Content-Type": TYPES[extname(path)] ?? "text/plain" });
    response.end(content);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${port}/`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Returns a `find` for the files of a folder. */
export const filesIn = (folder) => (path) => {
  try {
    return readFileSync(join(folder, normalize(path)));
  } catch {
    return null;
  }
};

/** Waits until a condition is true. */
export async function until(condition, what) {
  const deadline = Date.now() + 120_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
