/** What may go wrong on the way: sessions that end, networks that go away, answers that are lost, addresses that differ. */

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as send } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  assertNoComplaints,
  chooseFiles,
  faults,
  isSettled,
  launch,
  noChromium,
  openPage,
  PHONE,
  register,
  stock,
} from "./browser.mjs";
import { CORPUS, freePort, noCorpus, startService } from "./service.mjs";

const photo = (name) => join(CORPUS, "good", name);
const PHOTOS = ["sharp__4.webp", "storage__sadcat.jpg", "Pillow__flower2.webp", "Pillow__hopper.avif"].map(photo);
const HALF_AN_HOUR = 31 * 60;
const UNTIL_URLS_EXPIRE = 80 * 60;

describe("when something goes wrong", { skip: noChromium || noCorpus, timeout: 240_000 }, () => {
  let service;
  let browser;
  before(async () => ([service, browser] = await Promise.all([startService("embedded"), launch()])));
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  const opened = async (options) => {
    const page = await openPage(browser, service.url, options);
    return { page, person: await register(page) };
  };
  const tilesAre = (page, count) => page.waitForFunction((n) => document.querySelectorAll(".tile").length === n, count);

  test("tokens are renewed in time, once for all tabs", async () => {
    const { page } = await opened();
    const other = await page.context().newPage();
    await other.goto(service.url);
    await other.locator(".empty").waitFor();
    const refreshes = [];
    await page.context().route("**/auth/refresh", async (route) => {
      refreshes.push(route.request());
      await new Promise((resolve) => setTimeout(resolve, 1500)); // so that the other tab wants one meanwhile
      await route.continue();
    });
    for (const tab of [page, other]) await tab.clock.install();
    for (const tab of [page, other]) await tab.clock.fastForward(HALF_AN_HOUR * 1000);
    await Promise.all([page, other].map((tab) => chooseFiles(tab, [PHOTOS[0]])));
    for (const tab of [page, other]) await tab.getByText("1 picture uploaded").first().waitFor();
    assert.equal(refreshes.length, 1);
    assertNoComplaints(page);
    await page.context().close();
  });

  test("a session that ends says so, and what was begun goes on after signing in", async () => {
    const { page, person } = await opened({ bypassCSP: true });
    await endSession(page);
    await chooseFiles(page, PHOTOS);
    const dialog = page.getByRole("dialog", { name: "Please sign in again" });
    await dialog.waitFor();
    assert.deepEqual(await faults(page), []);
    assert.equal(await dialog.getByLabel("E-mail").inputValue(), person.email);
    await dialog.getByLabel("Password").fill(person.password);
    await dialog.getByRole("button", { name: "Sign in" }).click();
    await page.getByText(`${PHOTOS.length} pictures uploaded`).first().waitFor();
    await tilesAre(page, PHOTOS.length);
    await page.context().close();
  });

  test("a picture that is open when the session ends is open after signing in, with what was typed", async () => {
    const { page, person } = await opened();
    await stock(page, PHOTOS);
    await page.locator(".tile").first().click();
    await page.locator(".viewer-title", { hasText: "." }).waitFor();
    await page.locator(".gallery").evaluate((gallery) => gallery.classList.add("as-it-was"));
    await endSession(page);
    await page.getByLabel("Name", { exact: true }).fill("admiral.avif");
    await page.getByLabel("Description").fill("In uniform");
    const dialog = page.getByRole("dialog", { name: "Please sign in again" });
    await dialog.getByLabel("Password").fill(person.password);
    await dialog.getByRole("button", { name: "Sign in" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.locator(".viewer-title", { hasText: "admiral" }).waitFor();
    assert.equal(await page.getByLabel("Description").inputValue(), "In uniform");
    await page.waitForTimeout(500); // for whatever might yet close or draw it anew
    assert.ok(await page.locator(".viewer").isVisible());
    assert.equal(await page.locator(".gallery.as-it-was").count(), 1);
    await page.context().close();
  });

  test("where somebody else signs in in another tab, nothing of the first person stays in this one", async () => {
    const { page } = await opened();
    await page.route("**/images/upload", () => {});
    await chooseFiles(page, [PHOTOS[0]]);
    await page.locator('.uploads [data-state="sending"]').waitFor();
    page.on("dialog", (dialog) => dialog.dismiss()); // "leave this page?", which would keep it
    const other = await page.context().newPage();
    await other.goto(service.url);
    await other.locator(".empty").waitFor();
    const account = { email: `other-${Date.now()}@example.com`, password: "a long enough passphrase" };
    const response = await other.request.post(`${service.url}api/v1/auth/register`, { data: account });
    const { refresh_token } = await response.json();
    await other.evaluate((kept) => localStorage.setItem("pictures.session", JSON.stringify(kept)), {
      email: account.email,
      refresh_token,
    });
    await page.locator(".uploads li").waitFor({ state: "detached" });
    await page.locator(".empty").waitFor();
    await page.getByRole("button", { name: "Account" }).click();
    await page.locator(".account-name", { hasText: account.email }).waitFor();
    await page.context().close();
  });

  test("a tab that hears late of a sign-out does not sign out whoever has signed in since", async () => {
    const { page, person } = await opened();
    await page.evaluate(() =>
      dispatchEvent(new StorageEvent("storage", { key: "pictures.session", newValue: null })),
    );
    await page.waitForTimeout(300);
    const kept = await page.evaluate(() => JSON.parse(localStorage.getItem("pictures.session")));
    assert.equal(kept?.email, person.email);
    await page.locator(".empty").waitFor();
    await page.context().close();
  });

  test("an answer that asks to come back tomorrow is told at once", async () => {
    const { page } = await opened();
    const problem = { code: "too_many_attempts", detail: "No more exports today." };
    await page.route("**/auth/me/export", (route) =>
      route.fulfill({ status: 429, headers: { "Retry-After": "80000" }, json: problem }),
    );
    await page.getByRole("button", { name: "Account" }).click();
    await page.getByRole("button", { name: "Export" }).click();
    await page.getByText("No more exports today.").waitFor();
    await page.context().close();
  });

  test("a file that is gone since it was chosen is told as such, and not taken for a lost network", async () => {
    const { page } = await opened();
    const folder = mkdtempSync(join(tmpdir(), "pictures-"));
    const path = join(folder, "gone.webp");
    copyFileSync(PHOTOS[0], path);
    await page.context().setOffline(true);
    await chooseFiles(page, [path]);
    rmSync(folder, { recursive: true });
    await page.context().setOffline(false);
    await page.locator(".uploads").getByText("changed or removed").waitFor();
    await page.context().close();
  });

  test("what did not fit can be sent again, all at once, when something was deleted", async () => {
    const { page } = await opened();
    const problem = { code: "quota_exceeded", detail: "Your storage is full." };
    await page.route("**/images/upload", (route) => route.fulfill({ status: 403, json: problem }), { times: 2 });
    await chooseFiles(page, PHOTOS.slice(0, 2));
    await isSettled(page);
    assert.equal(await page.locator(".uploads").getByText("Your storage is full.").count(), 2);
    await page.getByRole("button", { name: "Try all again" }).click();
    await tilesAre(page, 2);
    await page.context().close();
  });

  test("a network that is back at once costs no upload", async () => {
    const { page } = await opened();
    const large = Buffer.concat([readFileSync(PHOTOS[1]), Buffer.alloc(9 * 1024 * 1024, 1)]);
    await page.route(/images\/uploads?$/, async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await route.continue().catch(() => {}); // it was broken off
    });
    await chooseFiles(page, [{ name: "large.jpg", mimeType: "image/jpeg", buffer: large }]);
    await chooseFiles(page, [PHOTOS[0]]);
    await page.waitForTimeout(300);
    await page.evaluate(() => ["offline", "online"].forEach((name) => dispatchEvent(new Event(name))));
    await page.getByText("2 pictures uploaded").first().waitFor({ timeout: 30_000 });
    await page.context().close();
  });

  test("a description that could not be saved is not lost with the picture that was left", async () => {
    const { page } = await opened();
    await stock(page, [PHOTOS[0]]);
    await page.locator(".tile").click();
    await page.route("**/api/v1/images/*", (route) => route.abort(), { times: 2 });
    await page.getByLabel("Description").fill("At the sea");
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

  test("a product's picture comes into the gallery though its dialog was closed", async () => {
    const { page } = await opened();
    await page.getByRole("button", { name: "Picture by barcode" }).click();
    await page.getByLabel("Product code").fill("3017 6204 22003");
    await page.getByRole("button", { name: "Get picture" }).click();
    await page.locator(".job").waitFor();
    await page.keyboard.press("Escape");
    await tilesAre(page, 1);
    await page.getByRole("button", { name: "Picture by barcode" }).click();
    await page.locator(".job").getByRole("button", { name: "Show" }).click();
    await page.locator(".viewer-title").waitFor();
    assertNoComplaints(page);
    await page.context().close();
  });

  test("a link to a picture that is not there says so, once", async () => {
    const { page } = await opened();
    await page.goto(`${service.url}#0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10`);
    await page.locator(".toast", { hasText: "no longer exists" }).first().waitFor();
    await page.waitForTimeout(300);
    assert.equal(await page.locator(".toast").count(), 1);
    assert.equal(new URL(page.url()).hash, "");
    await page.context().close();
  });

  test("a picture that was deleted elsewhere goes, and does not keep the others from being renewed", async () => {
    const { page } = await opened();
    const sending = page.waitForRequest("**/images/upload");
    await stock(page, PHOTOS.slice(0, 2));
    const { authorization } = (await sending).headers();
    const id = await page.locator(".tile").first().getAttribute("data-id");
    const gone = await page.request.delete(`${service.url}api/v1/images/${id}`, { headers: { authorization } });
    assert.equal(gone.status(), 204);
    await page.clock.install();
    await page.clock.fastForward(UNTIL_URLS_EXPIRE * 1000);
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))); // looked at again
    await tilesAre(page, 1);
    await page.context().close();
  });

  test("a page that the back key may bring back does not offer to undo what was sent", async () => {
    const { page } = await opened();
    await stock(page, [PHOTOS[0]]);
    await page.getByRole("checkbox").focus();
    await page.keyboard.press("Space");
    await page.keyboard.press("Delete");
    await page.getByRole("button", { name: "Undo" }).waitFor();
    const sent = page.waitForRequest("**/images/delete");
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
    await sent;
    await page.locator(".toast").waitFor({ state: "detached" });
    await page.context().close();
  });

  test("a gallery that is all there does nothing by itself", async () => {
    const page = await openPage(browser, "about:blank");
    await page.addInitScript(() => {
      globalThis.observed = 0;
      const { observe } = IntersectionObserver.prototype;
      IntersectionObserver.prototype.observe = function (target) {
        globalThis.observed += 1;
        return observe.call(this, target);
      };
    });
    await page.goto(service.url);
    await register(page);
    await page.waitForTimeout(500);
    assert.ok((await page.evaluate(() => globalThis.observed)) < 5);
    await page.context().close();
  });

  test("without a network the queue waits, and goes on by itself", async () => {
    const { page } = await opened(PHONE);
    await page.context().setOffline(true);
    await chooseFiles(page, PHOTOS);
    await page.getByRole("heading", { name: "Waiting for the network" }).waitFor();
    await page.context().setOffline(false);
    await page.getByText(`${PHOTOS.length} pictures uploaded`).first().waitFor();
    await tilesAre(page, PHOTOS.length);
    await page.context().close();
  });

  test("an upload whose answer was lost is tried again, and is there once", async () => {
    let answersToLose = 2;
    const isLost = ({ url }) => url.endsWith("/images/upload") && answersToLose-- > 0;
    const port = await freePort();
    const proxy = forwarding("", service.url, { isLost }).listen(port, "127.0.0.1");
    const page = await openPage(browser, `http://localhost:${port}/`);
    await register(page);
    await chooseFiles(page, PHOTOS.slice(0, 2));
    await page.getByText("2 pictures uploaded").first().waitFor({ timeout: 20_000 });
    assert.ok(answersToLose < 0);
    await page.reload();
    await tilesAre(page, 2);
    await page.getByText("2 pictures").waitFor();
    await page.context().close();
    proxy.close();
  });

  test("a file that only claims to be a picture is refused in words, and an upload can be cancelled", async () => {
    const { page } = await opened();
    await page.route("**/images/upload", () => {}, { times: 1 });
    await chooseFiles(page, [PHOTOS[0]]);
    await page.getByRole("button", { name: "Cancel sharp__4.webp" }).click();
    await page.locator(".uploads").getByText("Cancelled").waitFor();
    await page.getByRole("button", { name: "Upload sharp__4.webp again" }).click();
    await tilesAre(page, 1);
    await chooseFiles(page, [join(CORPUS, "unsupported", "gen__html_named.jpg")]);
    await page.locator(".uploads").getByText("HTML page").waitFor();
    await page.context().close();
  });

  test("dropped and pasted files are taken", async () => {
    const { page } = await opened();
    await page.evaluate(async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 60, height: 40 });
      canvas.getContext("2d").fillRect(5, 5, 30, 20);
      const picture = await new Promise((resolve) => canvas.toBlob(resolve));
      const transfer = (name) => {
        const made = new DataTransfer();
        made.items.add(new File([picture], name, { type: "image/png" }));
        return made;
      };
      const options = { bubbles: true, cancelable: true };
      document.body.dispatchEvent(new DragEvent("drop", { ...options, dataTransfer: transfer("dropped.png") }));
      document.body.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer("pasted.png") }));
      const field = document.body.appendChild(document.createElement("input"));
      field.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer("beside-text.png") }));
    });
    await tilesAre(page, 2);
    assertNoComplaints(page);
    await page.context().close();
  });

  test("a page of which a part did not come says so", async () => {
    const page = await openPage(browser, "about:blank");
    await page.route("**/session.js", (route) => route.abort());
    await page.goto(service.url);
    await page.getByText("did not load completely").waitFor();
    await page.unroute("**/session.js");
    await page.getByRole("link", { name: "Load it again" }).click();
    await page.locator(".sign-in").waitFor();
    await page.context().close();
  });

  test("the page speaks German to those who do", async () => {
    const page = await openPage(browser, service.url, { locale: "de-AT" });
    await page.getByRole("heading", { name: "Konto anlegen" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    await page.getByRole("button", { name: "English" }).click();
    await page.getByRole("heading", { name: "Create your account" }).waitFor();
    assertNoComplaints(page);
    await page.context().close();
  });

  test("an account is exported, and deleted with all that is in it", async () => {
    const { page, person } = await opened();
    await chooseFiles(page, [PHOTOS[0]]);
    await tilesAre(page, 1);
    await page.getByRole("button", { name: "Account" }).click();
    const [download] = await Promise.all([
      page.waitForEvent("download", { timeout: 30_000 }),
      page.getByRole("button", { name: "Export" }).click(),
    ]);
    assert.match(download.suggestedFilename(), /\.zip$/);
    await page.getByText("Delete my account").click();
    await page.getByLabel(`Type ${person.email} to confirm`).fill(person.email);
    await page.getByRole("button", { name: "Delete account and pictures" }).click();
    await page.getByText("are being deleted").waitFor();
    await page.context().close();
  });
});

describe("behind a path prefix", { skip: noChromium || noCorpus, timeout: 60_000 }, () => {
  let service;
  let browser;
  let proxy;
  let url;
  before(async () => {
    [service, browser] = await Promise.all([startService("embedded", { rootPath: "/photos" }), launch()]);
    const port = await freePort();
    proxy = forwarding("/photos", service.url).listen(port, "127.0.0.1");
    url = `http://localhost:${port}/photos/`;
  });
  after(async () => {
    await browser?.close();
    proxy?.close();
    await service?.stop();
  });

  test("everything is found", async () => {
    const page = await openPage(browser, url);
    await register(page);
    await chooseFiles(page, PHOTOS.slice(0, 2));
    await page.waitForFunction(() => document.querySelectorAll(".tile img.there").length === 2);
    assertNoComplaints(page);
  });
});

/** Lets the refresh token be refused, and the access token run out. */
async function endSession(page) {
  await page.evaluate(() => {
    const kept = JSON.parse(localStorage.getItem("pictures.session"));
    localStorage.setItem("pictures.session", JSON.stringify({ ...kept, refresh_token: "revoked" }));
  });
  await page.clock.install();
  await page.clock.fastForward(HALF_AN_HOUR * 1000);
}

/** A proxy that takes `prefix` away, and loses the answers that `isLost` names, once the service has given them. */
function forwarding(prefix, target, { isLost = () => false } = {}) {
  return createServer((incoming, outgoing) => {
    if (!incoming.url.startsWith(`${prefix}/`)) return outgoing.writeHead(404).end();
    const options = { method: incoming.method, headers: incoming.headers };
    const forwarded = send(new URL(incoming.url.slice(prefix.length), target), options, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      if (!isLost(incoming)) return answer.pipe(outgoing);
      // Cut off in its middle: where nothing at all has come the browser would try again by itself.
      outgoing.write("{", () => incoming.socket.destroy());
    });
    incoming.pipe(forwarded);
  });
}
