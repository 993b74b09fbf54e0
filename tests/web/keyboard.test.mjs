/** The page without a mouse: every key goes where it should, and the focus is never left nowhere. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertNoComplaints, chooseFiles, launch, noChromium, openPage, register, stock } from "./browser.mjs";
import { CORPUS, noCorpus, startService } from "./service.mjs";

const PHOTOS = ["sharp__4.webp", "storage__sadcat.jpg", "Pillow__flower2.webp", "Pillow__hopper.avif"].map((name) =>
  join(CORPUS, "good", name),
);

describe("by keyboard", { skip: noChromium || noCorpus, timeout: 120_000 }, () => {
  let service;
  let browser;
  before(async () => ([service, browser] = await Promise.all([startService("embedded"), launch()])));
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  const opened = async () => {
    const page = await openPage(browser, service.url);
    await register(page);
    return page;
  };
  const button = (page, name) => page.getByRole("button", { name, exact: true });
  const press = async (locator, key = "Enter") => {
    await locator.focus();
    await locator.press(key);
  };
  const focusIs = (page, selector) => page.waitForFunction((s) => document.activeElement.matches(s), selector);
  const tilesAre = (page, count) => page.waitForFunction((n) => document.querySelectorAll(".tile").length === n, count);

  test("pictures are selected, deleted and brought back, and something always has the focus", async () => {
    const page = await opened();
    await stock(page, PHOTOS);
    await press(button(page, "Select"));
    await focusIs(page, ".selection-bar button");
    await page.keyboard.press("Enter");
    await focusIs(page, ".gallery-line button");

    const second = page.locator(".tile").nth(1);
    await press(second.getByRole("checkbox"), "Space");
    await page.keyboard.press("Delete");
    await tilesAre(page, PHOTOS.length - 1);
    await focusIs(page, '.tile[aria-posinset="2"] a');
    await press(button(page, "Undo"));
    await tilesAre(page, PHOTOS.length);
    await focusIs(page, ".tile a");

    await press(page.locator(".tile").last().getByRole("checkbox"), "Space");
    await press(page.locator(".selection-bar .danger"));
    await tilesAre(page, PHOTOS.length - 1);
    await focusIs(page, ".gallery-line button");
    await page.keyboard.press("Enter");
    await press(button(page, "Select all"));
    await press(page.locator(".selection-bar .danger"));
    await focusIs(page, ".empty button");
    assertNoComplaints(page);
    await page.context().close();
  });

  test("arrows go from picture to picture, wherever the mouse was pressed before", async () => {
    const page = await opened();
    await stock(page, PHOTOS.slice(0, 2));
    const names = await page.locator(".tile img").evaluateAll((images) => images.map((image) => image.alt));
    const isShown = (index) => page.locator(".viewer-title", { hasText: names[index] }).waitFor();
    await press(page.locator(".tile a").first());
    await isShown(0);
    await button(page, "Next").click(); // the last one: the button goes, and the focus with it
    await isShown(1);
    await focusIs(page, ".viewer *");
    await page.keyboard.press("ArrowLeft");
    await isShown(0);
    await page.getByLabel("Description").fill("taken back");
    await page.keyboard.press("Escape");
    await page.keyboard.press("ArrowRight");
    await isShown(1);
    await page.locator(".frame").click();
    await page.keyboard.press("ArrowLeft");
    await isShown(0);
    await page.keyboard.press("Escape");
    await focusIs(page, ".tile a");
    assertNoComplaints(page);
    await page.context().close();
  });

  test("an upload can be cancelled while the others go on", async () => {
    const page = await opened();
    const sending = [];
    await page.route("**/images/upload", (route) => sending.push(route));
    await chooseFiles(page, PHOTOS);
    await button(page, "Cancel Pillow__hopper.avif").focus();
    await sending[0].continue();
    await page.locator('.uploads [data-state="stored"]').waitFor();
    await focusIs(page, '.uploads [aria-label="Cancel Pillow__hopper.avif"]');
    await page.keyboard.press("Enter");
    await focusIs(page, '.uploads [aria-label="Upload Pillow__hopper.avif again"]');
    await press(button(page, "Cancel all"));
    await focusIs(page, ".tray button");
    await press(button(page, "Done"));
    await focusIs(page, "main");
    await page.context().close();
  });

  test("a button that was busy has the focus again", async () => {
    const page = await opened();
    await press(button(page, "Account"));
    const done = page.waitForEvent("download");
    await press(button(page, "Export"));
    await done;
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Export");
    await page.keyboard.press("Escape");
    await press(button(page, "Picture by barcode"));
    await page.getByLabel("Product code").fill("2000000000022");
    await press(button(page, "Get picture"));
    await page.locator(".job").waitFor();
    await focusIs(page, ".ean-form input");
    await page.context().close();
  });
});
