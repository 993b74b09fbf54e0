/** Tests the complete journey of a new user on each backend. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  accessibilityViolations,
  allowClipboard,
  assertNoErrors,
  chooseFiles,
  launch,
  noBrowser,
  openPage,
  PHONE,
  register,
  typeInto,
  waitForUploads,
} from "./browser.mjs";
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
  describe(`on the ${name} backend`, { skip: noBrowser || noCorpus || skip, timeout: 600_000 }, () => {
    let service;
    let browser;
    let page;
    let hasFailed = false;
    /** A test that continues from the state in which the previous one ended. */
    const step = (title, run) =>
      test(title, async (context) => {
        if (hasFailed) return context.skip("a previous step failed");
        hasFailed = true;
        await run();
        hasFailed = false;
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

    step("of twelve files, all are uploaded except the one that is not an image", async () => {
      const samples = sampleUploads(page);
      await chooseFiles(page, [...photos(), join(CORPUS, "unsupported", "file-type__fixture-minimal.pdf")]);
      await waitForUploads(page);
      await page.getByText("1 file was not uploaded").first().waitFor();
      await page.locator(".uploads").getByText("Unsupported file type").waitFor();
      assert.equal(await tiles().count(), GOOD.length);
      await page.locator(".usage", { hasText: `${GOOD.length} pictures` }).waitFor();
      const { maxRunning, meterValues } = await samples;
      assert.ok(maxRunning <= 3, `${maxRunning} concurrent uploads`);
      assert.ok(
        meterValues.some((value) => value > 0 && value < 1),
        "the progress bar did not move",
      );
      await page.locator(".upload-panel").getByRole("button", { name: "Done" }).click();
      assertNoErrors(page);
    });

    step("each thumbnail is displayed in its own aspect ratio", async () => {
      await page.waitForFunction(
        (count) => document.querySelectorAll(".tile img.loaded").length === count,
        GOOD.length,
      );
      const deviations = await page.evaluate(() =>
        [...document.querySelectorAll(".tile img")].map((image) => {
          const { width, height } = image.getBoundingClientRect();
          return Math.abs(width / height / (image.naturalWidth / image.naturalHeight) - 1);
        }),
      );
      assert.ok(Math.max(...deviations) < 0.02, `the aspect ratio deviates by ${Math.max(...deviations)}`);
    });

    step("a large file is uploaded with a resumable upload", async () => {
      const big = Buffer.concat([readFileSync(photos()[0]), Buffer.alloc(9 * 1024 * 1024, 1)]);
      const posts = [];
      const listen = (request) => request.method() === "POST" && posts.push(request.url());
      page.on("request", listen);
      await chooseFiles(page, [{ name: "big.jpg", mimeType: "image/jpeg", buffer: big }]);
      await page.getByText("1 picture uploaded").first().waitFor({ timeout: 600_000 });
      page.off("request", listen);
      assert.ok(!posts.some((url) => url.endsWith("/images/upload")));
      assert.equal(posts.filter((url) => url.endsWith("/images/tus")).length, 1);
      assert.equal(await tiles().count(), GOOD.length + 1);
      assertNoErrors(page);
    });

    step("an image is opened, described and renamed, and arrow keys go to the next one", async () => {
      await tiles().first().click();
      const dialog = page.locator(".viewer");
      await dialog.getByText("big.jpg").first().waitFor();
      await page.waitForFunction(() => document.querySelector(".frame img.loaded"));
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction(() => document.querySelector(".viewer-title").textContent !== "big.jpg");
      await typeInto(page.getByLabel("Description"), "At the sea");
      await typeInto(page.getByLabel("Name", { exact: true }), "sea.jpg");
      await page.keyboard.press("Enter");
      await dialog.getByText("Saved").waitFor();
      await page.reload();
      await page.locator(".viewer-title", { hasText: "sea.jpg" }).waitFor();
      assert.equal(await page.getByLabel("Description").inputValue(), "At the sea");
      assertNoErrors(page);
    });

    step("an image is downloaded under its name, and a link is copied and revoked", async () => {
      await allowClipboard(page);
      await page.getByRole("button", { name: "Share", exact: true }).click();
      const dialog = page.getByRole("dialog", { name: "Share 1 picture" });
      await dialog.getByRole("button", { name: "Create link" }).click();
      await dialog.getByRole("button", { name: "Copy link" }).click();
      await toast("Link copied").waitFor();
      const link = await page.evaluate(() => navigator.clipboard.readText());
      const receiver = await openPage(browser, link, PHONE);
      await receiver.waitForFunction(() => document.querySelector(".images img").naturalWidth > 0);
      assert.equal(await receiver.getByRole("img", { name: "At the sea" }).count(), 1);
      assert.deepEqual(await accessibilityViolations(receiver), []);
      assertNoErrors(receiver);
      await dialog.getByText("Shared links").click();
      for (let press = 0; press < 2; press++) await dialog.getByRole("button", { name: "Revoke" }).click();
      while ((await receiver.reload()).status() !== 404) await receiver.waitForTimeout(100);
      await receiver.getByText("This link shows nothing").waitFor();
      await receiver.context().close();
      await page.keyboard.press("Escape");
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Download" }).click(),
      ]);
      assert.match(download.suggestedFilename(), /^sea\.[a-z]+$/);
      const photo = readFileSync(await download.path());
      assert.ok(photos().some((path) => readFileSync(path).equals(photo)));
      assertNoErrors(page);
    });

    step("a deletion can be undone, and is sent when the undo message is closed", async () => {
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
      await page.locator(".usage", { hasText: `${GOOD.length - 2} pictures` }).waitFor();
      assert.equal(sent.length, 1);
      assertNoErrors(page);
    });

    step("a pending deletion is sent when the page is closed", async () => {
      await tiles().first().hover();
      await tiles().first().getByRole("checkbox").click();
      await page.keyboard.press("Delete");
      await toast("Picture deleted").waitFor();
      await page.reload();
      await page.locator(".usage", { hasText: `${GOOD.length - 3} pictures` }).waitFor();
      await page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, GOOD.length - 3);
      assertNoErrors(page);
    });

    step("the image of a product is imported by its code, and an unknown code shows an error", async () => {
      await page.getByRole("button", { name: "Picture by barcode" }).click();
      const code = page.getByLabel("Product code");
      const submit = page.getByRole("button", { name: "Get picture" });
      await code.fill("3017620422004");
      await page.getByText("last digit should be 3").waitFor();
      assert.ok(await submit.isDisabled());
      await code.fill(WITH_IMAGE);
      await submit.click();
      const job = page.locator(".job", { hasText: WITH_IMAGE });
      await job.getByRole("button", { name: "Show" }).waitFor({ timeout: 600_000 });
      await code.fill(UNKNOWN);
      await submit.click();
      await page.locator('.job[data-state="failed"]', { hasText: UNKNOWN }).waitFor({ timeout: 600_000 });
      await page.locator(".job", { hasText: UNKNOWN }).getByText("does not contain this code").waitFor();
      await job.getByRole("button", { name: "Show" }).click();
      await page.locator(".properties").getByText("Hazelnut spread").waitFor();
      await page.keyboard.press("Escape");
      await page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, GOOD.length - 2);
      assertNoErrors(page);
    });

    step("signing out removes all data from the browser", async () => {
      await page.getByRole("button", { name: "Account" }).click();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByText("You are signed out.").waitFor();
      assert.equal(await page.evaluate(() => localStorage.getItem("pictures.session")), null);
      assert.equal(await page.locator(".tile").count(), 0);
      assertNoErrors(page);
    });
  });
}

/** Samples the number of running uploads and the value of the progress bar until the last upload has started. */
function sampleUploads(page) {
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        const samples = { maxRunning: 0, meterValues: [] };
        const count = (...states) =>
          document.querySelectorAll(states.map((state) => `.uploads [data-state="${state}"]`).join()).length;
        const timer = setInterval(() => {
          samples.maxRunning = Math.max(samples.maxRunning, count("sending", "processing"));
          samples.meterValues.push(document.querySelector(".upload-panel .meter")?.value);
          if (count("stored") && !count("waiting")) {
            clearInterval(timer);
            resolve(samples);
          }
        }, 20);
      }),
  );
}
