/** Tests that the page can be operated with the keyboard and that an element always has the focus. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertNoErrors, chooseFiles, launch, noBrowser, openPage, register, typeInto, uploadAndClose } from "./browser.mjs";
import { BACKEND, CORPUS, noCorpus, startService } from "./service.mjs";

const PHOTOS = ["sharp__4.webp", "storage__sadcat.jpg", "Pillow__flower2.webp", "Pillow__hopper.avif"].map((name) =>
  join(CORPUS, "good", name),
);

describe("keyboard operation", { skip: noBrowser || noCorpus, timeout: 600_000 }, () => {
  let service;
  let browser;
  before(async () => ([service, browser] = await Promise.all([startService(BACKEND), launch()])));
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  const openGallery = async () => {
    const page = await openPage(browser, service.url);
    await register(page);
    return page;
  };
  const button = (page, name) => page.getByRole("button", { name, exact: true });
  const press = async (locator, key = "Enter") => {
    await locator.focus();
    await locator.press(key);
  };
  const waitForFocus = (page, selector) => page.waitForFunction((s) => document.activeElement.matches(s), selector);
  const waitForTiles = (page, count) =>
    page.waitForFunction((n) => document.querySelectorAll(".tile").length === n, count);

  test("images are selected, deleted and restored, and an element always has the focus", async () => {
    const page = await openGallery();
    await uploadAndClose(page, PHOTOS);
    await press(button(page, "Select"));
    await waitForFocus(page, ".selection-bar button");
    await page.keyboard.press("Enter");
    await waitForFocus(page, ".gallery-header button");

    const second = page.locator(".tile").nth(1);
    await press(second.getByRole("checkbox"), "Space");
    await page.keyboard.press("Delete");
    await waitForTiles(page, PHOTOS.length - 1);
    await waitForFocus(page, '.tile[aria-posinset="2"] a');
    await press(button(page, "Undo"));
    await waitForTiles(page, PHOTOS.length);
    await waitForFocus(page, ".tile a");

    await press(page.locator(".tile").last().getByRole("checkbox"), "Space");
    await press(page.locator(".selection-bar .danger"));
    await waitForTiles(page, PHOTOS.length - 1);
    await waitForFocus(page, ".gallery-header button");
    await page.keyboard.press("Enter");
    await press(button(page, "Select all"));
    await press(page.locator(".selection-bar .danger"));
    await waitForFocus(page, ".empty-state button");
    assertNoErrors(page);
    await page.context().close();
  });

  test("arrow keys go to the next and previous image regardless of where the focus was", async () => {
    const page = await openGallery();
    await uploadAndClose(page, PHOTOS.slice(0, 2));
    const names = await page.locator(".tile img").evaluateAll((images) => images.map((image) => image.alt));
    const waitForImage = (index) => page.locator(".viewer-title", { hasText: names[index] }).waitFor();
    await press(page.locator(".tile a").first());
    await waitForImage(0);
    await button(page, "Next").click(); // This is the last image, so the button that has the focus disappears.
    await waitForImage(1);
    await waitForFocus(page, ".viewer *");
    await page.keyboard.press("ArrowLeft");
    await waitForImage(0);
    await typeInto(page.getByLabel("Description"), "discarded");
    await page.keyboard.press("Escape");
    await page.keyboard.press("ArrowRight");
    await waitForImage(1);
    await page.locator(".frame").click();
    await page.keyboard.press("ArrowLeft");
    await waitForImage(0);
    await page.keyboard.press("Escape");
    await waitForFocus(page, ".tile a");
    assertNoErrors(page);
    await page.context().close();
  });

  test("an upload can be canceled while the others continue", async () => {
    const page = await openGallery();
    const routes = [];
    await page.route("**/images/upload", (route) => routes.push(route));
    await chooseFiles(page, PHOTOS);
    await button(page, "Cancel Pillow__hopper.avif").focus();
    await routes[0].continue();
    await page.locator('.uploads [data-state="stored"]').waitFor();
    await waitForFocus(page, '.uploads [aria-label="Cancel Pillow__hopper.avif"]');
    await page.keyboard.press("Enter");
    await waitForFocus(page, '.uploads [aria-label="Upload Pillow__hopper.avif again"]');
    await press(button(page, "Cancel all"));
    await waitForFocus(page, ".upload-panel button");
    await press(button(page, "Done"));
    await waitForFocus(page, "main");
    await page.context().close();
  });

  test("a button gets the focus back after its action has finished", async () => {
    const page = await openGallery();
    await press(button(page, "Account"));
    const download = page.waitForEvent("download");
    await press(button(page, "Export"));
    await download;
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Export");
    await page.keyboard.press("Escape");
    await press(button(page, "Picture by barcode"));
    await page.getByLabel("Product code").fill("2000000000022");
    await press(button(page, "Get picture"));
    await page.locator(".job").waitFor();
    await waitForFocus(page, ".ean-form input");
    await page.context().close();
  });
});
