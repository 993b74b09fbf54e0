/** A page of private images in responsive sizes: what it requests on the first visit, and on the second one. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { assertNoErrors, launch, noChromium, openPage, PASSWORD } from "./browser.mjs";
import { BACKENDS, freePort, ROOT, startService } from "./service.mjs";

const IMAGES = 50;
const PHOTO = readFileSync(`${ROOT}docs/images/gallery.webp`);
const LOADED = `document.images.length === ${IMAGES} && [...document.images].every((i) => i.complete && i.naturalWidth)`;

const page = (api, token) => `<!doctype html><html lang="en"><title>Photos</title><script type="module">
  const response = await fetch("${api}images?limit=${IMAGES}", { headers: { Authorization: "Bearer ${token}" } });
  for (const { rendition_url: template } of (await response.json()).items) {
    const url = (width) => template.replace(/\\{.*/, "?w=" + width);
    const widths = [160, 320, 480, 640, 960, 1280];
    const image = Object.assign(new Image(), { sizes: "150px", alt: "", width: 150 });
    image.srcset = widths.map((width) => url(width) + " " + width + "w").join(", ");
    document.body.append(image);
  }
</script><body></body></html>`;

for (const backend of BACKENDS) {
  describe(`a page of ${IMAGES} images, ${backend.name}`, { skip: noChromium || backend.skip, timeout: 180_000 }, () => {
    let service;
    let browser;
    let site;
    let api;
    let address;

    before(async () => {
      const port = await freePort();
      address = `http://localhost:${port}/`;
      // The URLs of the second visit are those of the first one.
      const environment = { CORS_ORIGINS: address.slice(0, -1), PRESIGNED_URL_WINDOW: "86400" };
      [service, browser] = await Promise.all([startService(backend.name, { environment }), launch()]);
      api = `${service.url}api/v1/`;
      const token = await register();
      for (let count = 0; count < IMAGES; count += 1) await upload(token);
      site = createServer((_, response) => response.setHeader("Content-Type", "text/html").end(page(api, token)));
      await new Promise((resolve) => site.listen(port, "localhost", resolve));
    });
    after(async () => {
      site?.close();
      await browser?.close();
      await service?.stop();
    });

    async function register() {
      const body = JSON.stringify({ email: `renditions-${Date.now()}@example.com`, password: PASSWORD });
      const headers = { "Content-Type": "application/json" };
      return (await (await fetch(`${api}auth/register`, { method: "POST", headers, body })).json()).access_token;
    }

    async function upload(token) {
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": "image/webp" };
      const response = await fetch(`${api}images/upload`, { method: "POST", headers, body: PHOTO });
      assert.equal(response.status, 201, await response.text());
    }

    async function counts() {
      const lines = (await (await fetch(`${service.url}metrics`)).text()).split("\n");
      const sum = (pattern) =>
        lines.filter((line) => pattern.test(line)).reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
      return {
        requests: sum(/^http_requests_total\{.*route="\/renditions\//),
        renderings: sum(/^render_seconds_count\{outcome="rendered"\}/),
      };
    }

    test("the second visit requests only the list", async () => {
      const uploaded = await counts();
      const first = await openPage(browser, address);
      const types = [];
      first.on("response", (response) => types.push(response.headers()["content-type"]));
      await first.waitForFunction(LOADED, null, { timeout: 90_000 });
      assertNoErrors(first);
      const loaded = await counts();
      assert.equal(loaded.renderings, uploaded.renderings + IMAGES);
      assert.ok(types.includes("image/avif"));

      const second = await first.context().newPage();
      const requested = [];
      second.on("request", (request) => requested.push(request.url()));
      await second.goto(address);
      await second.waitForFunction(LOADED, null, { timeout: 90_000 });
      assert.deepEqual(await counts(), loaded);
      assert.equal(requested.filter((url) => url.startsWith(`${api}images?`)).length, 1);
    });
  });
}
