/** Tests every view in both color schemes and on several screens: no accessibility violations, nothing wider than the screen. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  assertNoErrors,
  chooseFiles,
  DESKTOP,
  accessibilityViolations,
  waitForUploads,
  launch,
  noBrowser,
  openPage,
  PHONE,
  register,
} from "./browser.mjs";
import { BACKEND, CORPUS, noCorpus, startService } from "./service.mjs";

const PHOTOS = ["sharp__4.webp", "storage__sadcat.jpg", "Pillow__flower2.webp", "Pillow__hopper.avif"];
const NARROW = { ...PHONE, viewport: { width: 320, height: 568 } };
const SCREENS = { phone: PHONE, desktop: DESKTOP, narrow: NARROW };
// Colors do not depend on the screen, so each color scheme is tested on one. The narrow screen only tests the width.
const SCHEMES = { phone: ["dark"], desktop: ["light"], narrow: [] };

for (const [screen, options] of Object.entries(SCREENS)) {
  describe(`views on a ${screen} screen`, { skip: noBrowser || noCorpus, timeout: 600_000 }, () => {
    let service;
    let browser;
    let page;
    const checked = [];

    /** Checks the current view in each color scheme. */
    const checkView = async (name) => {
      for (const colorScheme of SCHEMES[screen]) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await accessibilityViolations(page), [], `${name}, ${colorScheme}`);
      }
      const scrollWidth = await page.evaluate(() =>
        Math.max(...[document.documentElement, ...document.querySelectorAll("dialog[open]")].map((box) => box.scrollWidth)),
      );
      const { width } = options.viewport;
      assert.ok(scrollWidth <= width, `${name} is ${scrollWidth} px wide on a screen of ${width} px`);
      checked.push(name);
    };
    const button = (name) => page.getByRole("button", { name, exact: true });

    before(async () => {
      [service, browser] = await Promise.all([startService(BACKEND), launch()]);
      // axe is injected into the page as text, which the page's content security policy forbids.
      page = await openPage(browser, service.url, { ...options, bypassCSP: true });
    });
    after(async () => {
      await browser?.close();
      await service?.stop();
    });

    test("all views from the welcome page to the account dialog", async (context) => {
      await page.locator(".sign-in").waitFor();
      await checkView("welcome page");
      await page.locator(".sign-in .mode-switch button").click();
      await checkView("sign-in form");
      await page.locator(".sign-in .mode-switch button").click();
      await register(page);
      await checkView("empty gallery");
      await chooseFiles(page, [
        ...PHOTOS.map((name) => join(CORPUS, "good", name)),
        join(CORPUS, "unsupported", "gen__svg_script.svg"),
      ]);
      await waitForUploads(page);
      await page.waitForFunction(
        (count) => document.querySelectorAll(".tile img.loaded").length === count,
        PHOTOS.length,
      );
      await checkView("uploads");
      await page.locator(".upload-panel").getByRole("button", { name: "Done" }).click();
      await checkView("gallery");
      await button("Select").click();
      await page.locator(".tile").first().click();
      await checkView("selection");
      await page.locator(".selection-bar").getByRole("button", { name: "Delete" }).click();
      await checkView("deletion with undo");
      await button("Undo").click();
      await page.locator(".tile").first().click();
      await page.waitForFunction(() => document.querySelector(".frame img.loaded"));
      await checkView("viewer");
      await page.keyboard.press("i");
      await checkView("viewer with toggled details");
      await page.keyboard.press("Escape");
      await button("Picture by barcode").click();
      await page.getByLabel("Product code").fill("3017620422004");
      await checkView("product code with a typing error");
      await page.getByLabel("Product code").fill("3017620422003");
      await button("Get picture").click();
      await button("Show").waitFor({ timeout: 600_000 });
      await checkView("imported product");
      await page.keyboard.press("Escape");
      await button("Account").click();
      await page.getByText("Delete my account").click();
      await checkView("account dialog");
      assertNoErrors(page);
      context.diagnostic(`no violations in: ${checked.join(", ")}`);
    });

    test("selected items are recognizable in forced-colors mode", async () => {
      await page.emulateMedia({ forcedColors: "active" });
      const background = (option) =>
        page
          .locator(".radio-group span", { hasText: option })
          .evaluate((span) => getComputedStyle(span).backgroundColor);
      assert.notEqual(await background("Automatic"), await background("Light"));
      await page.keyboard.press("Escape");
      await button("Select").click();
      await page.locator(".tile").first().click();
      const isChecked = (index) => page.locator(".tile-checkbox .icon").nth(index).isVisible();
      assert.deepEqual(await Promise.all([isChecked(0), isChecked(1)]), [true, false]);
      await page.keyboard.press("Escape");
      await page.emulateMedia({ forcedColors: "none" });
    });

    test("images with pending and failed previews", async () => {
      await page.route("**/api/v1/images?*", async (route) => {
        const body = await (await route.fetch()).json();
        setThumbnails(body.items[0], "pending", null);
        setThumbnails(body.items[1], "failed", "Decoding took too long.");
        await route.fulfill({ json: body });
      });
      await page.route("**/events", (route) => route.abort());
      await page.reload();
      await page.getByText("Creating preview").waitFor();
      await page.getByText("No preview").waitFor();
      await checkView("pending and failed previews");
    });
  });
}

function setThumbnails(view, status, reason) {
  Object.assign(view, { thumbnail_url: null, placeholder: null });
  for (const thumbnail of view.thumbnails)
    Object.assign(thumbnail, { status, reason, url: null, width: null, height: null });
}
