/** Tests of failures: expired sessions, lost networks and responses, rejected files and a path prefix. */

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  assertNoErrors,
  chooseFiles,
  accessibilityViolations,
  waitForUploads,
  launch,
  noBrowser,
  openPage,
  PASSWORD,
  PHONE,
  register,
  typeInto,
  uploadAndClose,
} from "./browser.mjs";
import { startProxy } from "./proxy.mjs";
import { BACKEND, CORPUS, noCorpus, startService } from "./service.mjs";

const photo = (name) => join(CORPUS, "good", name);
const PHOTOS = ["sharp__4.webp", "storage__sadcat.jpg", "Pillow__flower2.webp", "Pillow__hopper.avif"].map(photo);
const ACCESS_TOKEN_EXPIRED_SECONDS = 31 * 60;
const URLS_EXPIRED_SECONDS = 80 * 60;

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

const OPTIONS = { skip: noBrowser || noCorpus, timeout: 600_000 };

describe("failures", OPTIONS, () => {
  let service;
  let browser;
  before(async () => ([service, browser] = await Promise.all([startService(BACKEND), launch()])));
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  const openGallery = async (options) => {
    const page = await openPage(browser, service.url, options);
    return { page, user: await register(page) };
  };
  const waitForTiles = (page, count) =>
    // Without `polling`, it would wait for animation frames, which a simulated clock does not always provide.
    page.waitForFunction((n) => document.querySelectorAll(".tile").length === n, count, { polling: 100 });

  test("an expired token is renewed once for all tabs", async () => {
    const { page } = await openGallery();
    const otherTab = await page.context().newPage();
    await otherTab.goto(service.url);
    await otherTab.locator(".empty-state").waitFor();
    const refreshes = [];
    await page.context().route("**/auth/refresh", async (route) => {
      refreshes.push(route.request());
      await new Promise((resolve) => setTimeout(resolve, 1500)); // The other tab needs a token during this time.
      await route.continue();
    });
    for (const tab of [page, otherTab]) await tab.clock.install();
    for (const tab of [page, otherTab]) await tab.clock.fastForward(ACCESS_TOKEN_EXPIRED_SECONDS * 1000);
    await Promise.all([page, otherTab].map((tab) => chooseFiles(tab, [PHOTOS[0]])));
    for (const tab of [page, otherTab]) await tab.getByText("1 picture uploaded").first().waitFor();
    assert.equal(refreshes.length, 1);
    assertNoErrors(page);
    await page.context().close();
  });

  test("an expired session is reported, and pending uploads continue after signing in", async () => {
    const { page, user } = await openGallery({ bypassCSP: true });
    await expireSession(page);
    await chooseFiles(page, PHOTOS);
    const dialog = page.getByRole("dialog", { name: "Your session has expired" });
    await dialog.waitFor();
    assert.deepEqual(await accessibilityViolations(page), []);
    assert.equal(await dialog.getByLabel("Email").inputValue(), user.email);
    await dialog.getByLabel("Password").fill(user.password);
    await dialog.getByRole("button", { name: "Sign in" }).click();
    await page.getByText(`${PHOTOS.length} pictures uploaded`).first().waitFor();
    await waitForTiles(page, PHOTOS.length);
    await page.context().close();
  });

  test("an open image and its edits remain when the session expires and the user signs in again", async () => {
    const { page, user } = await openGallery();
    await uploadAndClose(page, PHOTOS);
    await page.locator(".tile").first().click();
    await page.locator(".viewer-title", { hasText: "." }).waitFor();
    await page.locator(".gallery").evaluate((gallery) => gallery.classList.add("same-element"));
    await expireSession(page);
    // The dialog that the response opens must not be there before both fields are filled.
    const { promise: filled, resolve: release } = deferred();
    await page.route("**/auth/refresh", (route) => filled.then(() => route.continue()));
    await typeInto(page.getByLabel("Name", { exact: true }), "admiral.avif");
    await typeInto(page.getByLabel("Description"), "In uniform");
    release();
    const dialog = page.getByRole("dialog", { name: "Your session has expired" });
    await dialog.getByLabel("Password").fill(user.password);
    await dialog.getByRole("button", { name: "Sign in" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.locator(".viewer-title", { hasText: "admiral" }).waitFor();
    // Each field is saved by a request of its own, so that the second may still be on its way.
    const description = page.getByLabel("Description");
    for (let i = 0; i < 100 && (await description.inputValue()) !== "In uniform"; i++) await page.waitForTimeout(100);
    assert.equal(await description.inputValue(), "In uniform");
    await page.waitForTimeout(500); // A delayed event must not close or replace the view.
    assert.ok(await page.locator(".viewer").isVisible());
    assert.equal(await page.locator(".gallery.same-element").count(), 1);
    await page.context().close();
  });

  test("when another user signs in in another tab, this tab removes all data of the first user", async () => {
    const { page } = await openGallery();
    await page.route("**/images/upload", () => {});
    await chooseFiles(page, [PHOTOS[0]]);
    await page.locator('.uploads [data-state="sending"]').waitFor();
    page.on("dialog", (dialog) => dialog.dismiss()); // Dismissing the "Leave this page?" dialog would keep the page.
    const otherTab = await page.context().newPage();
    await otherTab.goto(service.url);
    await otherTab.locator(".empty-state").waitFor();
    const account = { email: `other-${Date.now()}@example.com`, password: "a long enough passphrase" };
    const response = await otherTab.request.post(`${service.url}api/v1/auth/register`, { data: account });
    const { refresh_token } = await response.json();
    await otherTab.evaluate((session) => localStorage.setItem("pictures.session", JSON.stringify(session)), {
      email: account.email,
      refresh_token,
    });
    await page.locator(".uploads li").waitFor({ state: "detached" });
    await page.locator(".empty-state").waitFor();
    await page.getByRole("button", { name: "Account" }).click();
    await page.locator(".account-name", { hasText: account.email }).waitFor();
    await page.context().close();
  });

  test("a delayed sign-out event from another tab does not sign out the current user", async () => {
    const { page, user } = await openGallery();
    await page.evaluate(() => dispatchEvent(new StorageEvent("storage", { key: "pictures.session", newValue: null })));
    await page.waitForTimeout(300);
    const session = await page.evaluate(() => JSON.parse(localStorage.getItem("pictures.session")));
    assert.equal(session?.email, user.email);
    await page.locator(".empty-state").waitFor();
    await page.context().close();
  });

  test("a response with a long Retry-After is shown immediately and not retried", async () => {
    const { page } = await openGallery();
    const problem = { code: "too_many_attempts", detail: "No more exports today." };
    await page.route("**/auth/me/export", (route) =>
      route.fulfill({ status: 429, headers: { "Retry-After": "80000" }, json: problem }),
    );
    await page.getByRole("button", { name: "Account" }).click();
    await page.getByRole("button", { name: "Export" }).click();
    await page.getByText("No more exports today.").waitFor();
    await page.context().close();
  });

  test("a file that was removed after it was chosen is not reported as a network failure", async () => {
    const { page } = await openGallery();
    await uploadAndClose(page, [PHOTOS[1]]); // Loads the modules that validate files when they are chosen.
    const folder = mkdtempSync(join(tmpdir(), "pictures-"));
    const path = join(folder, "removed.webp");
    copyFileSync(PHOTOS[0], path);
    await page.context().setOffline(true);
    await chooseFiles(page, [path]);
    rmSync(folder, { recursive: true });
    await page.context().setOffline(false);
    await page.locator(".uploads").getByText("changed or removed").waitFor();
    await page.context().close();
  });

  test("uploads that exceeded the quota can be retried together", async () => {
    const { page } = await openGallery();
    const problem = { code: "quota_exceeded", detail: "Your storage is full." };
    await page.route("**/images/upload", (route) => route.fulfill({ status: 403, json: problem }), { times: 2 });
    await chooseFiles(page, PHOTOS.slice(0, 2));
    await waitForUploads(page);
    assert.equal(await page.locator(".uploads").getByText("Your storage is full.").count(), 2);
    await page.getByRole("button", { name: "Try all again" }).click();
    await waitForTiles(page, 2);
    await page.context().close();
  });

  test("a short network interruption fails no upload", async () => {
    const { page } = await openGallery();
    const large = Buffer.concat([readFileSync(PHOTOS[1]), Buffer.alloc(9 * 1024 * 1024, 1)]);
    await page.route(/images\/(upload|tus)$/, async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await route.continue().catch(() => {}); // The page has aborted the request.
    });
    await chooseFiles(page, [{ name: "large.jpg", mimeType: "image/jpeg", buffer: large }]);
    await chooseFiles(page, [PHOTOS[0]]);
    await page.waitForTimeout(300);
    await page.evaluate(() => ["offline", "online"].forEach((name) => dispatchEvent(new Event(name))));
    await page.getByText("2 pictures uploaded").first().waitFor({ timeout: 600_000 });
    await page.context().close();
  });

  test("an unsaved description can be saved after the viewer was closed", async () => {
    const { page } = await openGallery();
    await uploadAndClose(page, [PHOTOS[0]]);
    await page.locator(".tile").click();
    await page.route("**/api/v1/images/*", (route) => route.abort(), { times: 2 });
    await typeInto(page.getByLabel("Description"), "At the sea");
    await page.getByRole("button", { name: "Close" }).click();
    const toast = page.locator(".toast", { hasText: "Not saved" }).last();
    await toast.getByRole("button", { name: "Try again" }).click();
    await page.getByAltText("At the sea").waitFor();
    await page.locator(".tile").click();
    await page.getByLabel("Name", { exact: true }).fill("");
    await page.keyboard.press("Enter");
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "sharp__4.webp");
    await page.context().close();
  });

  test("a product import completes after its dialog was closed", async () => {
    const { page } = await openGallery();
    await page.getByRole("button", { name: "Picture by barcode" }).click();
    await page.getByLabel("Product code").fill("3017 6204 22003");
    await page.getByRole("button", { name: "Get picture" }).click();
    await page.locator(".job").waitFor();
    await page.keyboard.press("Escape");
    await waitForTiles(page, 1);
    await page.getByRole("button", { name: "Picture by barcode" }).click();
    await page.locator(".job").getByRole("button", { name: "Show" }).click();
    await page.locator(".viewer-title").waitFor();
    assertNoErrors(page);
    await page.context().close();
  });

  test("a link to a missing image shows one error message", async () => {
    const { page } = await openGallery();
    await page.goto(`${service.url}#0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10`);
    await page.locator(".toast", { hasText: "no longer exists" }).first().waitFor();
    await page.waitForTimeout(300);
    assert.equal(await page.locator(".toast").count(), 1);
    assert.equal(new URL(page.url()).hash, "");
    await page.context().close();
  });

  test("an image that another client deleted disappears, and the URLs of the others are refreshed", async () => {
    const { page } = await openGallery();
    const uploadRequest = page.waitForRequest("**/images/upload");
    await uploadAndClose(page, PHOTOS.slice(0, 2));
    const { authorization } = (await uploadRequest).headers();
    const id = await page.locator(".tile").first().getAttribute("data-id");
    const deletion = await page.request.delete(`${service.url}api/v1/images/${id}`, { headers: { authorization } });
    assert.equal(deletion.status(), 204);
    await page.clock.install();
    await page.clock.fastForward(URLS_EXPIRED_SECONDS * 1000);
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))); // The user returns to the tab.
    await waitForTiles(page, 1);
    await page.context().close();
  });

  test("a page in the back-forward cache does not offer to undo deletions that were sent", async () => {
    const { page } = await openGallery();
    await uploadAndClose(page, [PHOTOS[0]]);
    await page.getByRole("checkbox").focus();
    await page.keyboard.press("Space");
    await page.keyboard.press("Delete");
    await page.getByRole("button", { name: "Undo" }).waitFor();
    const deleteRequest = page.waitForRequest("**/images/delete");
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
    await deleteRequest;
    await page.locator(".toast").waitFor({ state: "detached" });
    await page.context().close();
  });

  test("a completely loaded gallery does not keep observing the end of the page", async () => {
    const page = await openPage(browser, "about:blank");
    await page.addInitScript(() => {
      globalThis.observeCalls = 0;
      const { observe } = IntersectionObserver.prototype;
      IntersectionObserver.prototype.observe = function (target) {
        globalThis.observeCalls += 1;
        return observe.call(this, target);
      };
    });
    await page.goto(service.url);
    await register(page);
    await page.waitForTimeout(500);
    assert.ok((await page.evaluate(() => globalThis.observeCalls)) < 5);
    await page.context().close();
  });

  test("uploads wait while the browser is offline and then continue automatically", async () => {
    const { page } = await openGallery(PHONE);
    await page.locator(".upload-panel-card").waitFor({ state: "attached" });
    await page.context().setOffline(true);
    await chooseFiles(page, PHOTOS);
    await page.getByRole("heading", { name: "Waiting for a network connection" }).waitFor();
    await page.context().setOffline(false);
    await page.getByText(`${PHOTOS.length} pictures uploaded`).first().waitFor();
    await waitForTiles(page, PHOTOS.length);
    await page.context().close();
  });

  test("no file is lost while the modules that upload are loading, or cannot be loaded", async () => {
    const { page } = await openGallery();
    const { promise: released, resolve: release } = deferred();
    await page.route("**/uploads/queue.js", (route) => released.then(() => route.continue()));
    await page.reload();
    await chooseFiles(page, [PHOTOS[0]]);
    await page.locator("html").evaluate((html) => {
      const dataTransfer = new DataTransfer();
      const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
      const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
      dataTransfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
      html.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
    });
    release();
    await waitForTiles(page, 2);

    await page.unroute("**/uploads/queue.js");
    await page.route("**/uploads/queue.js", (route) => route.abort());
    await page.reload();
    await chooseFiles(page, [PHOTOS[1]]);
    const retry = page.locator(".toast").getByRole("button", { name: "Try again" });
    await retry.waitFor();
    await page.unroute("**/uploads/queue.js");
    await retry.click();
    await waitForTiles(page, 3);
    await page.context().close();
  });

  test("files wait for a network that is back before the attempt to load the modules has failed", async () => {
    const { page } = await openGallery();
    const { promise: released, resolve: release } = deferred();
    await page.route("**/uploads/queue.js", (route) => released.then(() => route.abort()), { times: 1 });
    await page.reload();
    const request = page.waitForRequest("**/uploads/queue.js");
    await chooseFiles(page, [PHOTOS[0]]);
    await request;
    await page.evaluate(() => dispatchEvent(new Event("online")));
    release();
    await waitForTiles(page, 1);
    await page.context().close();
  });

  test("an upload is retried after a lost response and creates one image", async (context) => {
    let remainingLosses = 2;
    const sendResponse = (response, outgoing, incoming) => {
      if (!incoming.url.endsWith("/images/upload") || remainingLosses-- <= 0) return response.pipe(outgoing);
      // The response is truncated, because the browser itself retries a request to which no byte has arrived.
      outgoing.write("{", () => incoming.socket.destroy());
    };
    const proxy = await startProxy(service.url, { sendResponse });
    context.after(proxy.close);
    const page = await openPage(browser, proxy.url);
    await register(page);
    await chooseFiles(page, PHOTOS.slice(0, 2));
    await page.getByText("2 pictures uploaded").first().waitFor({ timeout: 600_000 });
    assert.ok(remainingLosses < 0);
    await page.reload();
    await waitForTiles(page, 2);
    await page.locator(".usage", { hasText: "2 pictures" }).waitFor();
    await page.context().close();
  });

  test("a file with a wrong extension is rejected with an explanation, and an upload can be canceled", async () => {
    const { page } = await openGallery();
    await page.route("**/images/upload", () => {}, { times: 1 });
    await chooseFiles(page, [PHOTOS[0]]);
    await page.getByRole("button", { name: "Cancel sharp__4.webp" }).click();
    await page.locator(".uploads").getByText("Canceled").waitFor();
    await page.getByRole("button", { name: "Upload sharp__4.webp again" }).click();
    await waitForTiles(page, 1);
    await chooseFiles(page, [join(CORPUS, "unsupported", "gen__html_named.jpg")]);
    await page.locator(".uploads").getByText("HTML page").waitFor();
    await page.context().close();
  });

  test("error pages of proxies are described in words, also one with status 200", async () => {
    const { page } = await openGallery();
    const uploads = page.locator(".uploads");
    const answer = (status) =>
      page.route("**/images/upload", (route) => route.fulfill({ status, contentType: "text/html", body: "<p>Proxy</p>" }), {
        times: 1,
      });
    await answer(413);
    await chooseFiles(page, [PHOTOS[0]]);
    await uploads.getByText("The file is larger than the server accepts.").waitFor();
    await answer(200);
    await chooseFiles(page, [PHOTOS[1]]);
    await uploads.getByText("The response did not come from the service.").waitFor();
    await page.getByRole("button", { name: "Upload storage__sadcat.jpg again" }).click();
    await waitForTiles(page, 1);
    await page.context().close();
  });

  test("dropped and pasted files are uploaded", async () => {
    const { page } = await openGallery();
    await page.evaluate(async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 60, height: 40 });
      canvas.getContext("2d").fillRect(5, 5, 30, 20);
      const picture = await new Promise((resolve) => canvas.toBlob(resolve));
      const createTransfer = (name) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([picture], name, { type: "image/png" }));
        return transfer;
      };
      const options = { bubbles: true, cancelable: true };
      document.body.dispatchEvent(new DragEvent("drop", { ...options, dataTransfer: createTransfer("dropped.png") }));
      document.body.dispatchEvent(
        new ClipboardEvent("paste", { ...options, clipboardData: createTransfer("pasted.png") }),
      );
      const field = document.body.appendChild(document.createElement("input"));
      field.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: createTransfer("with-text.png") }));
    });
    await waitForTiles(page, 2);
    assertNoErrors(page);
    await page.context().close();
  });

  test("a page with a missing module shows an error", async () => {
    const page = await openPage(browser, "about:blank");
    await page.route("**/session.js", (route) => route.abort());
    await page.goto(service.url);
    await page.getByText("did not load completely").waitFor();
    await page.unroute("**/session.js");
    await page.getByRole("link", { name: "Reload the page" }).click();
    await page.locator(".sign-in").waitFor();
    await page.context().close();
  });

  test("the page is in German if the browser prefers German", async () => {
    const page = await openPage(browser, service.url, { locale: "de-AT" });
    await page.getByRole("heading", { name: "Konto anlegen" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    await page.getByRole("button", { name: "English" }).click();
    await page.getByRole("heading", { name: "Create your account" }).waitFor();
    assertNoErrors(page);
    await page.context().close();
  });

  test("an account is exported and deleted", async () => {
    const { page } = await openGallery();
    await chooseFiles(page, [PHOTOS[0]]);
    await waitForTiles(page, 1);
    await page.getByRole("button", { name: "Account" }).click();
    const [download] = await Promise.all([
      page.waitForEvent("download", { timeout: 600_000 }),
      page.getByRole("button", { name: "Export" }).click(),
    ]);
    assert.match(download.suggestedFilename(), /\.zip$/);
    await page.getByText("Delete my account").click();
    await page.getByLabel("Enter your password to confirm").fill("wrong password");
    await page.getByRole("button", { name: "Delete account and pictures" }).click();
    await page.getByText("The current password is incorrect.").waitFor();
    await page.getByLabel("Enter your password to confirm").fill(PASSWORD);
    await page.getByRole("button", { name: "Delete account and pictures" }).click();
    await page.getByText("are being deleted").waitFor();
    await page.context().close();
  });
});

test("the page works behind a proxy that adds a path prefix", OPTIONS, async (context) => {
  const browser = await launch();
  context.after(() => browser.close());
  const service = await startService(BACKEND, { rootPath: "/photos" });
  context.after(service.stop);
  const proxy = await startProxy(service.url, { prefix: "/photos" });
  context.after(proxy.close);
  const page = await openPage(browser, proxy.url);
  await register(page);
  await chooseFiles(page, PHOTOS.slice(0, 2));
  await page.waitForFunction(() => document.querySelectorAll(".tile img.loaded").length === 2);
  assertNoErrors(page);
});

/** Makes the refresh token invalid and lets the access token expire. */
async function expireSession(page) {
  await page.evaluate(() => {
    const session = JSON.parse(localStorage.getItem("pictures.session"));
    localStorage.setItem("pictures.session", JSON.stringify({ ...session, refresh_token: "revoked" }));
  });
  await page.clock.install();
  await page.clock.fastForward(ACCESS_TOKEN_EXPIRED_SECONDS * 1000);
}
