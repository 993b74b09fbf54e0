/** Every view, light and dark, on phone and desk: nothing that axe finds fault with, and nothing cut off. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  assertNoComplaints,
  chooseFiles,
  DESK,
  faults,
  isSettled,
  launch,
  noChromium,
  openPage,
  PHONE,
  register,
} from "./browser.mjs";
import { CORPUS, noCorpus, startService } from "./service.mjs";

const PHOTOS = ["sharp__4.webp", "storage__sadcat.jpg", "Pillow__flower2.webp", "Pillow__hopper.avif"];
const NARROW = { ...PHONE, viewport: { width: 320, height: 568 } };
const FORMS = { phone: PHONE, desk: DESK, narrow: NARROW };
// Colours do not depend on the form: each scheme is looked at on one. The narrowest shows whether everything fits.
const SCHEMES = { phone: ["dark"], desk: ["light"], narrow: [] };

for (const [form, options] of Object.entries(FORMS)) {
  describe(`the views on ${form}`, { skip: noChromium || noCorpus, timeout: 120_000 }, () => {
    let service;
    let browser;
    let page;
    const checked = [];

    /** Looks at the view as it is, in each colour scheme. */
    const look = async (name) => {
      for (const colorScheme of SCHEMES[form]) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await faults(page), [], `${name}, ${colorScheme}`);
      }
      const { scrollWidth, innerWidth } = await page.evaluate(() => ({
        scrollWidth: Math.max(
          ...[document.documentElement, ...document.querySelectorAll("dialog[open]")].map((box) => box.scrollWidth),
        ),
        innerWidth,
      }));
      assert.ok(scrollWidth <= innerWidth, `${name} is ${scrollWidth} wide in a window of ${innerWidth}`);
      checked.push(name);
    };
    const button = (name) => page.getByRole("button", { name, exact: true });

    before(async () => {
      [service, browser] = await Promise.all([startService("embedded"), launch()]);
      // axe is put into the page as text, which the page's own policy would rightly refuse.
      page = await openPage(browser, service.url, { ...options, bypassCSP: true });
    });
    after(async () => {
      await browser?.close();
      await service?.stop();
    });

    test("from welcome to account", async (context) => {
      await page.locator(".sign-in").waitFor();
      await look("welcome");
      await page.locator(".sign-in .swap button").click();
      await look("sign in");
      await page.locator(".sign-in .swap button").click();
      await register(page);
      await look("empty gallery");
      await chooseFiles(page, [
        ...PHOTOS.map((name) => join(CORPUS, "good", name)),
        join(CORPUS, "unsupported", "gen__svg_script.svg"),
      ]);
      await isSettled(page);
      await page.waitForFunction(
        (count) => document.querySelectorAll(".tile img.there").length === count,
        PHOTOS.length,
      );
      await look("uploads");
      await page.locator(".tray").getByRole("button", { name: "Done" }).click();
      await look("gallery");
      await button("Select").click();
      await page.locator(".tile").first().click();
      await look("selection");
      await page.locator(".selection-bar").getByRole("button", { name: "Delete" }).click();
      await look("deleted, undo offered");
      await button("Undo").click();
      await page.locator(".tile").first().click();
      await page.waitForFunction(() => document.querySelector(".frame img.there"));
      await look("large view");
      await page.keyboard.press("i");
      await look("large view, details the other way");
      await page.keyboard.press("Escape");
      await button("Picture by barcode").click();
      await page.getByLabel("Product code").fill("3017620422004");
      await look("product with a typing error");
      await page.getByLabel("Product code").fill("3017620422003");
      await button("Get picture").click();
      await button("Show").waitFor({ timeout: 30_000 });
      await look("product found");
      await page.keyboard.press("Escape");
      await button("Account").click();
      await page.getByText("Delete my account").click();
      await look("account");
      assertNoComplaints(page);
      context.diagnostic(`no fault in: ${checked.join(", ")}`);
    });

    test("where the system sets the colours, what is chosen looks different still", async () => {
      await page.emulateMedia({ forcedColors: "active" });
      const background = (choice) =>
        page.locator(".choice span", { hasText: choice }).evaluate((span) => getComputedStyle(span).backgroundColor);
      assert.notEqual(await background("Automatic"), await background("Light"));
      await page.keyboard.press("Escape");
      await button("Select").click();
      await page.locator(".tile").first().click();
      const isTicked = (index) => page.locator(".tile-mark .icon").nth(index).isVisible();
      assert.deepEqual(await Promise.all([isTicked(0), isTicked(1)]), [true, false]);
      await page.keyboard.press("Escape");
      await page.emulateMedia({ forcedColors: "none" });
    });

    test("a picture that is being prepared, and one that could not be", async () => {
      await page.route("**/api/v1/images?*", async (route) => {
        const body = await (await route.fetch()).json();
        dress(body.items[0], "pending", null);
        dress(body.items[1], "failed", "Decoding took too long.");
        await route.fulfill({ json: body });
      });
      await page.route("**/events", (route) => route.abort());
      await page.reload();
      await page.getByText("Being prepared").waitFor();
      await page.getByText("No preview").waitFor();
      await look("pending and failed");
    });
  });
}

function dress(view, status, reason) {
  Object.assign(view, { thumbnail_url: null, placeholder: null });
  for (const thumbnail of view.thumbnails)
    Object.assign(thumbnail, { status, reason, url: null, width: null, height: null });
}
