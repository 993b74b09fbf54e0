/** What may go wrong on the way: sessions that end, networks that go away, answers that are lost, addresses that differ. */

import assert from "node:assert/strict";
import { createServer, request as send } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertNoComplaints, chooseFiles, faults, launch, noChromium, openPage, PHONE, register } from "./browser.mjs";
import { CORPUS, freePort, noCorpus, startService } from "./service.mjs";

const photo = (name) => join(CORPUS, "good", name);
const PHOTOS = ["sharp__4.webp", "storage__sadcat.jpg", "Pillow__flower2.webp", "Pillow__hopper.avif"].map(photo);
const HALF_AN_HOUR = 31 * 60;

describe("when something goes wrong", { skip: noChromium || noCorpus, timeout: 120_000 }, () => {
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
    await page.evaluate(() => {
      const kept = JSON.parse(localStorage.getItem("pictures.session"));
      localStorage.setItem("pictures.session", JSON.stringify({ ...kept, refresh_token: "revoked" }));
    });
    await page.clock.install();
    await page.clock.fastForward(HALF_AN_HOUR * 1000);
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
