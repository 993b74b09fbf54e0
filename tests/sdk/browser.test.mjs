/** The bundle for pages without a build step in Chromium, on a page of another origin. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { assertNoErrors, launch, noChromium, openPage } from "../web/browser.mjs";
import { BACKENDS, freePort, startService } from "../web/service.mjs";
import { servePages } from "./pages.mjs";
import { PHOTO } from "./photos.mjs";

for (const { name, skip } of BACKENDS)
  describe(`the client in a browser, ${name}`, { skip: noChromium || skip, timeout: 600_000 }, () => tests(name));

function tests(backend) {
  let service;
  let pages;
  let browser;
  let page;
  before(async () => {
    const port = await freePort();
    const environment = { CORS_ORIGINS: `http://127.0.0.1:${port}` };
    pages = await servePages(port, (path) => (path === "/index.html" ? "<!doctype html><title>Test</title>" : null));
    [service, browser] = await Promise.all([startService(backend, { environment }), launch()]);
  });
  after(async () => {
    await browser?.close();
    await Promise.all([service?.stop(), pages?.stop()]);
  });
  beforeEach(async () => {
    page = await openPage(browser, pages.url);
  });

  /** Runs a function in the page with a client of a new user, and what the bundle exports. */
  const inPage = (run, argument) =>
    page.evaluate(
      async ([source, baseUrl, photo, value]) => {
        const sdk = await import("/image-upload-service.js");
        const session = new sdk.PasswordSession({ baseUrl });
        const email = `user-${Math.random().toString(36).slice(2)}@example.com`;
        await session.register({ email, password: "a long enough passphrase" });
        const client = new sdk.ImageClient({ baseUrl, getToken: session.getToken });
        const bytes = Uint8Array.from(atob(photo), (character) => character.charCodeAt(0));
        return eval(`(${source})`)({ sdk, client, file: new File([bytes], "beach.jpg") }, value);
      },
      [run.toString(), service.url, PHOTO.toString("base64"), argument],
    );

  for (const method of ["request", "direct", "resumable"])
    test(`an upload reports its progress: ${method}`, async () => {
      const upload = async ({ client, file }, chosen) => {
        const progress = [];
        const image = await client.upload(file, { method: chosen, onProgress: (event) => progress.push(event) });
        const original = await (await fetch(image.original_url)).arrayBuffer();
        return { image, progress, bytes: original.byteLength, remembered: localStorage.length };
      };
      const { image, progress, bytes, remembered } = await inPage(upload, method);
      assert.equal(image.filename, "beach.jpg");
      assert.deepEqual(progress.at(-1), { sent: PHOTO.length, total: PHOTO.length });
      assert.equal(bytes, PHOTO.length);
      assert.equal(remembered, 0);
      assertNoErrors(page);
    });

  test("events are streamed, and errors have their code", async () => {
    const { last, code } = await inPage(async ({ client, file, sdk }) => {
      const image = await client.upload(file, { respondAsync: true });
      let last;
      for await (const state of client.events(image.id)) last = state;
      const error = await client.upload(new Blob(["text"])).catch((reason) => reason);
      return { last, code: error instanceof sdk.ImageServiceError && error.code };
    });
    assert.ok(last.thumbnails.every(({ status }) => status === "ready"));
    assert.equal(code, "format_unsupported");
  });

  test("an aborted upload throws the reason and is remembered", async () => {
    const result = await inPage(async ({ client, file }) => {
      const controller = new AbortController();
      const onProgress = () => controller.abort(new Error("stopped by the user"));
      const options = { onProgress, signal: controller.signal, method: "resumable" };
      const { message } = await client.upload(file, options).catch((reason) => reason);
      const remembered = localStorage.length;
      const image = await client.upload(file, { method: "resumable" });
      const images = [];
      for await (const { id } of client.list()) images.push(id);
      return { message, remembered, isOnly: images.length === 1 && images[0] === image.id };
    });
    assert.deepEqual(result, { message: "stopped by the user", remembered: 1, isOnly: true });
  });

  test("a placeholder is a picture", async () => {
    const width = await inPage(async ({ client, file, sdk }) => {
      const { placeholder } = await client.upload(file);
      const picture = Object.assign(new Image(), { src: sdk.placeholderDataUrl(placeholder) });
      await picture.decode();
      return picture.naturalWidth;
    });
    assert.equal(width, 32);
  });
}
