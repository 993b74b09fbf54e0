/** Tests of large files in the gallery: uploads continue after a lost connection and after a reload of the page. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { accessibilityViolations, chooseFiles, launch, noBrowser, openPage, register } from "./browser.mjs";
import { startProxy } from "./proxy.mjs";
import { BACKENDS, CORPUS, noCorpus, startService } from "./service.mjs";

const MIB = 1024 * 1024;
const FILE_NAME = "Straße am Meer.jpg";
const LONG = { timeout: 600_000 };

for (const backend of BACKENDS) {
  describe(`large files on ${backend.name}`, { skip: noBrowser || noCorpus || backend.skip, timeout: 600_000 }, () => {
    let service, browser, proxy, folder, path, page, user;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), "pictures-"));
      path = join(folder, FILE_NAME);
      // Bytes after the end of an image are kept, so this is a large file that is quick to decode.
      const photo = readFileSync(join(CORPUS, "good", "storage__sadcat.jpg"));
      writeFileSync(path, Buffer.concat([photo, randomBytes(20 * MIB)]));
      [service, browser] = await Promise.all([startService(backend.name), launch()]);
      proxy = await startDisturbingProxy(service.url);
    });
    beforeEach(async () => {
      proxy.reset();
      page = await openPage(browser, proxy.url);
      page.on("dialog", (dialog) => dialog.accept()); // "Leave this page?"
      user = await register(page);
    });
    after(async () => {
      await browser?.close();
      proxy?.close();
      await service?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    /** Checks that the upload has created one image, with the bytes of the file. */
    async function assertUploaded() {
      const headers = await signIn(service.url, user);
      const { items } = await (await fetch(`${service.url}api/v1/images`, { headers })).json();
      assert.deepEqual(
        items.map(({ filename }) => filename),
        [FILE_NAME],
      );
      const stored = await fetch(`${service.url}api/v1/images/${items[0].id}/file`, { headers });
      assert.ok(Buffer.from(await stored.arrayBuffer()).equals(readFileSync(path)), "the bytes differ");
    }

    test("an upload continues after its connection was cut twice", async () => {
      proxy.faults = [{ after: 9 * MIB, cuts: true }, { after: 2 * MIB, cuts: true }];
      await chooseFiles(page, [path]);
      await page.getByText("1 picture uploaded").first().waitFor(LONG);
      assert.deepEqual(proxy.faults, []);
      assert.ok(proxy.offsets.at(-1) > MIB, `offsets: ${proxy.offsets}`);
      await assertUploaded();
      assert.deepEqual(await filesInBrowser(page), []);
      await page.context().close();
    });

    test("an upload continues by itself after a reload of the page", async () => {
      proxy.faults = [{ after: 9 * MIB }, { after: 0 }];
      await chooseFiles(page, [path]);
      await until(() => proxy.held.length === 1);
      assert.deepEqual(await filesInBrowser(page), [FILE_NAME]);
      await page.reload();
      await until(() => proxy.held.length === 2);
      await page.locator(".uploads").getByText(FILE_NAME).waitFor();
      assert.deepEqual(await accessibilityViolations(page), []);
      proxy.held[1]();
      await page.getByText("1 picture uploaded").first().waitFor(LONG);
      assert.ok(proxy.offsets.at(-1) > MIB, `offsets: ${proxy.offsets}`);
      await assertUploaded();
      assert.deepEqual(await filesInBrowser(page), []);
      await page.reload();
      await page.locator(".tile").waitFor();
      assert.equal(await page.locator(".uploads li").count(), 0);
      await page.context().close();
    });

    test("a second tab continues the upload of the first one only after that one is closed", async () => {
      proxy.faults = [{ after: 9 * MIB }];
      await chooseFiles(page, [path]);
      await until(() => proxy.held.length === 1);
      const secondTab = await page.context().newPage();
      await secondTab.goto(proxy.url);
      await secondTab.locator(".empty-state").waitFor();
      await secondTab.waitForTimeout(500);
      assert.equal(await secondTab.locator(".uploads li").count(), 0);
      await page.close();
      await secondTab.getByText("1 picture uploaded").first().waitFor(LONG);
      await assertUploaded();
      await secondTab.context().close();
    });

    test("signing out removes the file from the browser and the upload from the service", async () => {
      proxy.faults = [{ after: 9 * MIB }];
      await chooseFiles(page, [path]);
      await until(() => proxy.held.length === 1);
      await page.getByRole("button", { name: "Account" }).click();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByText("You are signed out.").waitFor();
      assert.deepEqual(await filesInBrowser(page), []);
      const headers = { ...(await signIn(service.url, user)), "Tus-Resumable": "1.0.0" };
      const url = `${service.url}api/v1/images/tus/${proxy.uploadId}`;
      await until(async () => (await fetch(url, { method: "HEAD", headers })).status === 404);
      await page.context().close();
    });
  });
}

async function signIn(url, { email, password }) {
  const body = new URLSearchParams({ username: email, password });
  const { access_token } = await (await fetch(`${url}api/v1/auth/token`, { method: "POST", body })).json();
  return { Authorization: `Bearer ${access_token}` };
}

/** Returns the names of the files that the page has stored. */
function filesInBrowser(page) {
  return page.evaluate(async () => {
    const result = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const database = await result(indexedDB.open("pictures.unfinished"));
    const all = await result(database.transaction("uploads").objectStore("uploads").getAll());
    database.close();
    return all.map(({ file }) => file.name);
  });
}

async function until(condition) {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, "the condition was not met in time");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Starts a proxy that disturbs PATCH requests. Each one takes the first of `faults`: after that many bytes, the proxy cuts
 * the connection, or forwards no more bytes until the function is called that it appends to `held`.
 */
async function startDisturbingProxy(target) {
  const state = { reset: () => Object.assign(state, { faults: [], held: [], offsets: [], uploadId: null }) };
  const sendRequest = (incoming, forwarded) => {
    if (incoming.method !== "PATCH") return incoming.pipe(forwarded);
    state.offsets.push(Number(incoming.headers["upload-offset"]));
    state.uploadId = incoming.url.split("/").at(-1);
    disturb(incoming, forwarded, state);
  };
  return Object.assign(state, await startProxy(target, { sendRequest }));
}

function disturb(incoming, forwarded, proxy) {
  let fault = proxy.faults.shift();
  let count = 0;
  let waiting = null;
  const pass = (operation) => (waiting ? waiting.push(operation) : operation());
  incoming.on("data", (chunk) => {
    pass(() => forwarded.write(chunk));
    count += chunk.length;
    if (!fault || count <= fault.after) return;
    if (fault.cuts) incoming.socket.destroy();
    else {
      waiting = [];
      proxy.held.push(() => {
        for (const operation of waiting.splice(0)) operation();
        waiting = null;
      });
    }
    fault = null;
  });
  incoming.on("end", () => pass(() => forwarded.end()));
}
