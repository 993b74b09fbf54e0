/** The whole way through the page, as somebody new goes it, on each backend. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertNoComplaints, chooseFiles, isSettled, launch, noChromium, openPage, register } from "./browser.mjs";
import { BACKENDS, CORPUS, noCorpus, startService } from "./service.mjs";

const GOOD = [
  "sharp__2569067123_aca715a2ee_o.jpg",
  "exif-orientation-examples__Landscape_6.jpg",
  "Pillow__flower2.webp",
  "pillow_heif__arrow.heic",
  "Pillow__hopper.avif",
  "Pillow__hopper.png",
  "Pillow__transparent.webp",
  "Pillow__chi.gif",
  "storage__sadcat.jpg",
  "sharp__4.webp",
  "libavif__paris_exif_xmp_icc.jpg",
];
const WITH_IMAGE = "3017620422003";
const UNKNOWN = "2000000000022";
const photos = () => GOOD.map((name) => join(CORPUS, "good", name));

for (const { name, skip } of BACKENDS) {
  describe(`on the ${name} backend`, { skip: noChromium || noCorpus || skip, timeout: 120_000 }, () => {
    let service;
    let browser;
    let page;
    let broken = false;
    /** A test that goes on where the one before it ended. */
    const step = (title, run) =>
      test(title, async (context) => {
        if (broken) return context.skip("a step before this one failed");
        broken = true;
        await run();
        broken = false;
      });
    const tiles = () => page.locator(".tile");
    const toast = (text) => page.locator(".toast", { hasText: text });

    before(async () => {
      [service, browser] = await Promise.all([startService(name), launch()]);
      page = await openPage(browser, service.url);
      await register(page);
    });
    after(async () => {
      await browser?.close();
      await service?.stop();
    });

    step("twelve files are uploaded, but for the one that is no picture", async () => {
      const states = watchStates(page);
      await chooseFiles(page, [...photos(), join(CORPUS, "unsupported", "file-type__fixture-minimal.pdf")]);
      await isSettled(page);
      await page.getByText("1 file was not uploaded").first().waitFor();
      await page.locator(".uploads").getByText("Not a picture that can be kept here").waitFor();
      assert.equal(await tiles().count(), GOOD.length);
      await page.getByText(`${GOOD.length} pictures`).waitFor();
      const seen = await states();
      assert.ok(seen.most <= 3, `${seen.most} at once`);
      assert.ok(
        seen.values.some((value) => value > 0 && value < 1),
        "the bar moved",
      );
      await page.locator(".tray").getByRole("button", { name: "Done" }).click();
      assertNoComplaints(page);
    });

    step("thumbnails are there, each in a box of its own shape", async () => {
      await page.waitForFunction((count) => document.querySelectorAll(".tile img.there").length === count, GOOD.length);
      const boxes = await page.evaluate(() =>
        [...document.querySelectorAll(".tile img")].map((image) => {
          const { width, height } = image.getBoundingClientRect();
          return Math.abs(width / height / (image.naturalWidth / image.naturalHeight) - 1);
        }),
      );
      assert.ok(Math.max(...boxes) < 0.02, `off by ${Math.max(...boxes)}`);
    });

    step("a large file goes straight into the store", async () => {
      const big = Buffer.concat([readFileSync(photos()[0]), Buffer.alloc(9 * 1024 * 1024, 1)]);
      const posts = [];
      const listen = (request) => request.method() === "POST" && posts.push(request.url());
      page.on("request", listen);
      await chooseFiles(page, [{ name: "big.jpg", mimeType: "image/jpeg", buffer: big }]);
      await page.getByText("1 picture uploaded").first().waitFor({ timeout: 30_000 });
      page.off("request", listen);
      assert.ok(!posts.some((url) => url.endsWith("/images/upload")));
      assert.equal(posts.filter((url) => url.includes("/images/uploads")).length, 2);
      assert.equal(await tiles().count(), GOOD.length + 1);
      assertNoComplaints(page);
    });

    step("a picture is opened, walked from, described and renamed", async () => {
      await tiles().first().click();
      const dialog = page.locator(".viewer");
      await dialog.getByText("big.jpg").first().waitFor();
      await page.waitForFunction(() => document.querySelector(".frame img.there"));
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction(() => document.querySelector(".viewer-title").textContent !== "big.jpg");
      await page.getByLabel("Description").fill("At the sea");
      await page.getByLabel("Name", { exact: true }).fill("sea.jpg");
      await page.keyboard.press("Enter");
      await dialog.getByText("Saved").waitFor();
      await page.reload();
      await page.locator(".viewer-title", { hasText: "sea.jpg" }).waitFor();
      assert.equal(await page.getByLabel("Description").inputValue(), "At the sea");
      assertNoComplaints(page);
    });

    step("a picture is downloaded under its name, and its link copied", async () => {
      await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
      await page.getByRole("button", { name: "Copy link" }).click();
      await toast("Link copied").waitFor();
      const link = await page.evaluate(() => navigator.clipboard.readText());
      const shared = await fetch(link);
      assert.equal(shared.status, 200);
      const original = Buffer.from(await shared.arrayBuffer());
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Download" }).click(),
      ]);
      assert.equal(download.suggestedFilename(), "sea.jpg");
      assert.deepEqual(readFileSync(await download.path()), original);
      assertNoComplaints(page);
    });

    step("a deletion can be undone, and is sent when it cannot be any more", async () => {
      const sent = [];
      page.on("request", (request) => request.url().endsWith("/images/delete") && sent.push(request.url()));
      await page.getByRole("button", { name: "Delete" }).click();
      await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
      await page.keyboard.press("Escape");
      await page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, GOOD.length + 1);
      assert.deepEqual(sent, []);

      await page.getByRole("button", { name: "Select", exact: true }).click();
      await tiles().nth(0).click();
      await tiles()
        .nth(2)
        .click({ modifiers: ["Shift"] });
      await page.getByText("3 selected").first().waitFor();
      await page.locator(".selection-bar").getByRole("button", { name: "Delete" }).click();
      await page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, GOOD.length - 2);
      await toast("3 pictures deleted").getByRole("button", { name: "Close" }).click();
      await page.getByText(`${GOOD.length - 2} pictures`).waitFor();
      assert.equal(sent.length, 1);
      assertNoComplaints(page);
    });

    step("a deletion that could still be undone is sent when the page goes away", async () => {
      await tiles().first().hover();
      await tiles().first().getByRole("checkbox").click();
      await page.keyboard.press("Delete");
      await toast("Picture deleted").waitFor();
      await page.reload();
      await page.getByText(`${GOOD.length - 3} pictures`).waitFor();
      await page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, GOOD.length - 3);
      assertNoComplaints(page);
    });

    step("the picture of a product is fetched by its code, and an unknown code is explained", async () => {
      await page.getByRole("button", { name: "Picture by barcode" }).click();
      const code = page.getByLabel("Product code");
      const get = page.getByRole("button", { name: "Get picture" });
      await code.fill("3017620422004");
      await page.getByText("the last one would be 3").waitFor();
      assert.ok(await get.isDisabled());
      await code.fill(WITH_IMAGE);
      await get.click();
      const job = page.locator(".job", { hasText: WITH_IMAGE });
      await job.getByRole("button", { name: "Show" }).waitFor({ timeout: 30_000 });
      await code.fill(UNKNOWN);
      await get.click();
      await page.locator('.job[data-state="failed"]', { hasText: UNKNOWN }).waitFor({ timeout: 30_000 });
      await page.locator(".job", { hasText: UNKNOWN }).getByText("does not know this code").waitFor();
      await job.getByRole("button", { name: "Show" }).click();
      await page.locator(".facts").getByText("Hazelnut spread").waitFor();
      await page.keyboard.press("Escape");
      await page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, GOOD.length - 2);
      assertNoComplaints(page);
    });

    step("signing out leaves nothing behind", async () => {
      await page.getByRole("button", { name: "Account" }).click();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByText("You are signed out.").waitFor();
      assert.equal(await page.evaluate(() => localStorage.getItem("pictures.session")), null);
      assert.equal(await page.locator(".tile").count(), 0);
      assertNoComplaints(page);
    });
  });
}

/** Samples how many uploads are under way at once, and where the bar over all of them stands. */
function watchStates(page) {
  const sampling = page.evaluate(
    () =>
      new Promise((resolve) => {
        const seen = { most: 0, values: [] };
        const timer = setInterval(() => {
          seen.most = Math.max(
            seen.most,
            document.querySelectorAll('.uploads [data-state="sending"], .uploads [data-state="checking"]').length,
          );
          seen.values.push(document.querySelector(".tray .meter")?.value);
          if (
            document.querySelector('.uploads [data-state="stored"]') &&
            !document.querySelector('.uploads [data-state="waiting"]')
          ) {
            clearInterval(timer);
            resolve(seen);
          }
        }, 20);
      }),
  );
  return () => sampling;
}
