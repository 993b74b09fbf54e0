/** Tests of the share dialog: links for one image and for a selection, and the list of links. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  accessibilityViolations,
  allowClipboard,
  assertNoErrors,
  BROWSER,
  launch,
  noBrowser,
  openPage,
  PHONE,
  register,
  uploadAndClose,
} from "./browser.mjs";
import { BACKEND, CORPUS, noCorpus, startService } from "./service.mjs";

const PHOTOS = ["sharp__4.webp", "storage__sadcat.jpg", "Pillow__flower2.webp"].map((name) =>
  join(CORPUS, "good", name),
);
const PASSWORD = "four words for friends";

describe("share dialog", { skip: noBrowser || noCorpus, timeout: 600_000 }, () => {
  let service;
  let browser;
  before(async () => ([service, browser] = await Promise.all([startService(BACKEND), launch()])));
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  const openGallery = async (options) => {
    // axe is injected into the page as text, which the page's content security policy forbids.
    const page = await openPage(browser, service.url, { bypassCSP: true, ...options });
    await register(page);
    await uploadAndClose(page, PHOTOS);
    return page;
  };
  const checkView = async (page, name) => {
    assert.deepEqual(await accessibilityViolations(page), [], name);
    const dialog = page.locator("dialog[open]").last();
    const fits = await dialog.evaluate(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth);
    assert.ok(fits, `${name} is wider than its dialog`);
  };
  const button = (scope, name) => scope.getByRole("button", { name, exact: true });
  const waitForFocus = (page, text) =>
    page.waitForFunction((expected) => document.activeElement.textContent === expected, text);

  test("a selection is shared with a password, and its link is copied, changed and revoked", async () => {
    const page = await openGallery({ colorScheme: "light", timezoneId: "America/New_York" });
    await allowClipboard(page);
    await button(page, "Select").click();
    for (const index of [1, 0]) await page.locator(".tile").nth(index).click();
    await button(page, "Share").click();
    const dialog = page.getByRole("dialog", { name: "Share 2 pictures" });
    await dialog.getByLabel("Title").fill("Summer");
    await dialog.getByLabel("The link works").selectOption("for 7 days");
    await dialog.getByLabel("Password").fill(PASSWORD);
    await dialog.getByLabel("Receivers can").selectOption({ index: 1 });
    await checkView(page, "form, light");
    await button(dialog, "Create link").click();
    await dialog.getByText("Anyone with the link and the password can view the pictures until").waitFor();
    await waitForFocus(page, "Copy link");
    await checkView(page, "link, light");
    await page.keyboard.press("Enter");
    await page.locator(".toast", { hasText: "Link copied" }).waitFor();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(await dialog.getByLabel("Link", { exact: true }).inputValue(), link);

    const receiver = await openPage(browser, "about:blank", PHONE);
    assert.equal((await receiver.goto(link)).status(), 403);
    await receiver.getByLabel("Password").fill(PASSWORD);
    await receiver.keyboard.press("Enter");
    await receiver.getByRole("heading", { name: "Summer" }).waitFor();
    const ids = await page.locator(".tile").evaluateAll((tiles) => tiles.map((tile) => tile.dataset.id));
    const sources = await receiver.locator(".images img").evaluateAll((images) => images.map(({ src }) => src));
    assert.equal(sources.length, 2);
    for (const index of [0, 1]) assert.ok(sources[index].includes(ids[index]), "the order is that of the gallery");

    await dialog.getByText("Shared links").click();
    const share = dialog.locator(".share");
    await share.getByText("Summer").waitFor();
    await share.getByText(/2 pictures · until .* · with a password · with download/).waitFor();
    await share.locator("img").waitFor();
    await checkView(page, "list, light");
    await button(share, "Edit").click();
    await checkView(page, "changes, light");
    await share.getByLabel("Title").fill("Summer at the sea");
    await share.getByLabel("The link works").selectOption("until a date");
    await share.getByLabel("Last day").fill("2099-07-01");
    await share.getByLabel("Remove the password").check();
    const [request] = await Promise.all([
      page.waitForRequest((sent) => sent.method() === "PATCH"),
      button(share, "Save").click(),
    ]);
    const changes = { title: "Summer at the sea", expires_at: "2099-07-02T03:59:59.000Z", password: null };
    // Firefox does not report the bodies of requests.
    if (BROWSER !== "firefox") assert.deepEqual(request.postDataJSON(), changes);
    await share.getByText("2 pictures · until 1 July 2099 · with download").waitFor();
    await waitForFocus(page, "Edit");
    await receiver.goto(link);
    await receiver.getByRole("heading", { name: "Summer at the sea" }).waitFor();

    await page.bringToFront(); // Firefox ignores keys in a window that is not active.
    await button(share, "Revoke").click();
    await waitForFocus(page, "Keep");
    await checkView(page, "question, light");
    await page.keyboard.press("Enter");
    await waitForFocus(page, "Revoke");
    await page.keyboard.press("Enter");
    await button(share, "Revoke").click();
    await dialog.getByText("You have not shared any pictures.").waitFor();
    await waitForFocus(page, "Shared links");
    assert.equal((await receiver.goto(link)).status(), 404);
    assertNoErrors(page);
    await receiver.context().close();
    await page.context().close();
  });

  test("an image is shared from the viewer, and the account dialog lists its link", async () => {
    const page = await openGallery({ ...PHONE, colorScheme: "dark" });
    await page.locator(".tile").first().click();
    await page.waitForFunction(() => document.querySelector(".frame img.loaded"));
    await button(page, "Share").focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: "Share 1 picture" });
    await dialog.getByLabel("The link works").selectOption("until a date");
    await checkView(page, "form, dark");
    const answer = (response) => page.route("**/api/v1/shares", (route) => route.fulfill(response), { times: 1 });
    await answer({ status: 502, contentType: "text/html", body: "<p>Bad gateway</p>" });
    await button(dialog, "Create link").click();
    await dialog.getByText("The service is temporarily unavailable.").waitFor();
    await answer({ status: 409, json: { code: "image_pending", detail: "The image is pending.", status: 409 } });
    await button(dialog, "Create link").click();
    await dialog.getByText("A picture is still being processed.").waitFor();
    await dialog.getByLabel("The link works").selectOption("until you revoke it");
    await button(dialog, "Create link").click();
    await dialog.getByText("Anyone with the link can view the picture until you revoke the link.").waitFor();
    await checkView(page, "link, dark");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.waitForFunction(() => document.activeElement.title === "Share");
    await page.keyboard.press("Escape");

    await button(page, "Account").click();
    await page.getByText("Shared links").click();
    const share = page.locator(".share");
    await share.getByText("does not expire").waitFor();
    await checkView(page, "list, dark");
    await button(share, "Edit").click();
    await checkView(page, "changes, dark");
    await button(share, "Cancel").click();
    await waitForFocus(page, "Edit");
    await button(share, "Revoke").click();
    await checkView(page, "question, dark");
    await page.context().close();
  });
});
