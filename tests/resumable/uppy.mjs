// Uploads a file with Uppy in Chromium: node uppy.mjs ENDPOINT AUTHORIZATION FILE. Uppy's settings are its defaults. After
// its last attempt, Uppy shows a button that tries again; the script does what the button does.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { launch, openPage } from "../web/browser.mjs";

const [endpoint, authorization, path] = process.argv.slice(2);
const SCRIPT = readFileSync(new URL("../web/node_modules/uppy-6/dist/uppy.min.js", import.meta.url));

/** Runs in the page. */
async function upload([url, token]) {
  const uppy = new globalThis.Uppy.Uppy();
  uppy.use(globalThis.Uppy.Tus, { endpoint: url, headers: { Authorization: token } });
  const [file] = document.querySelector("input").files;
  const meta = { filename: "holiday ☀.jpg", description: "Sent by Uppy" };
  uppy.addFile({ name: file.name, type: file.type, data: file, meta });
  let result = await uppy.upload();
  for (let attempt = 0; result.failed.length > 0; attempt += 1) {
    if (attempt === 60) throw new Error(result.failed[0].error);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    result = await uppy.retryAll();
  }
}

const server = createServer((request, response) => {
  const isScript = request.url === "/uppy.js";
  response.writeHead(200, { "Content-Type": isScript ? "text/javascript" : "text/html" });
  response.end(isScript ? SCRIPT : '<!doctype html><title>Test</title><input type="file"><script src="/uppy.js"></script>');
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await launch();
const page = await openPage(browser, `http://127.0.0.1:${server.address().port}/`);
await page.locator("input").setInputFiles(path);
await page.evaluate(upload, [endpoint, authorization]);
await browser.close();
server.close();
