/** Tests of the timeline, of its scrubber, of large selections, and of changes that other tabs and devices make. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  accessibilityViolations,
  assertNoErrors,
  BROWSER,
  DESKTOP,
  launch,
  noBrowser,
  openPage,
  PHONE,
  register,
  TABLET,
  uploadAndClose,
} from "./browser.mjs";
import { BACKEND, PYTHON, ROOT, startService } from "./service.mjs";
import { simulateLibrary, spreadOverMonths } from "./simulated_library.mjs";

const TAKEN = ["2024-05-03", "2024-05-09", "2019-12-31", "2016-02-29"];
const PHOTOGRAPHS = `
import sys
from PIL import Image
folder, *dates = sys.argv[1:]
for number, date in enumerate(dates):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = date.replace("-", ":") + " 12:00:00"
    Image.new("RGB", (640, 480), (40 * number, 90, 160)).save(f"{folder}/{date}.jpg", exif=exif)
`;
// Colors do not depend on the screen, so each color scheme is tested on one.
const SCHEMES = { phone: ["dark"], tablet: [], desktop: ["light"] };

describe("the gallery", { skip: noBrowser, timeout: 600_000 }, () => {
  let service;
  let browser;
  let folder;
  const photos = () => TAKEN.map((date) => join(folder, `${date}.jpg`));
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "photos-"));
    execFileSync(PYTHON, ["-c", PHOTOGRAPHS, folder, ...TAKEN], { cwd: ROOT });
    [service, browser] = await Promise.all([startService(BACKEND), launch()]);
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const openGallery = async (files, options) => {
    const page = await openPage(browser, service.url, options);
    await register(page);
    await uploadAndClose(page, files);
    return page;
  };
  /** Requests whose responses are still being simulated are no errors. */
  const close = async (page) => {
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.context().close();
  };
  /** Opens a gallery that seems to have images in as many months. */
  const openLargeGallery = async (images, months, options) => {
    const page = await openGallery([photos()[0]], options);
    const library = await simulateLibrary(page, spreadOverMonths(images, months));
    await page.reload();
    await page.locator(".tile img.loaded").first().waitFor();
    return { page, library };
  };
  const titles = (page) => page.locator(".section-title").allInnerTexts();
  const waitForTitles = (page, expected) =>
    page.waitForFunction(
      (texts) =>
        JSON.stringify([...document.querySelectorAll(".section-title")].map((title) => title.innerText.split("\n")[0])) ===
        JSON.stringify(texts),
      expected,
    );
  const altTexts = (page) => page.locator(".tile img").evaluateAll((images) => images.map(({ alt }) => alt));
  const button = (page, name) => page.getByRole("button", { name, exact: true });

  test("images are in the months in which they were taken, or in the order of their upload", async () => {
    const page = await openGallery(photos());
    await waitForTitles(page, ["May 2024", "December 2019", "February 2016"]);
    assert.equal((await titles(page))[0].replace("\n", " "), "May 2024 2 pictures");
    const names = ["2024-05-09.jpg", "2024-05-03.jpg", "2019-12-31.jpg", "2016-02-29.jpg"];
    await page.reload();
    await page.locator(".tile img.loaded").nth(3).waitFor();
    assert.deepEqual(await altTexts(page), names);

    await page.getByLabel("Order of the pictures").selectOption("Upload date");
    await waitForTitles(page, []);
    await page.reload();
    await page.locator(".tile img.loaded").nth(3).waitFor();
    assert.deepEqual((await altTexts(page)).sort(), [...names].sort());
    assert.equal(await page.locator(".section-title").count(), 0);
    assert.equal(await page.getByLabel("Order of the pictures").inputValue(), "uploaded_at");
    assertNoErrors(page);
    await close(page);
  });

  test("arrow keys cross months, and End goes to the oldest image", async () => {
    const page = await openGallery(photos());
    await waitForTitles(page, ["May 2024", "December 2019", "February 2016"]);
    const focused = () => page.evaluate(() => document.activeElement.querySelector("img")?.alt);
    await page.locator(".tile a").first().focus();
    await page.keyboard.press("ArrowDown");
    assert.equal(await focused(), "2019-12-31.jpg");
    await page.keyboard.press("ArrowRight");
    assert.equal(await focused(), "2016-02-29.jpg");
    await page.keyboard.press("Home");
    assert.equal(await focused(), "2024-05-09.jpg");
    await page.keyboard.press("End");
    await page.waitForFunction(() => document.activeElement.querySelector("img")?.alt === "2016-02-29.jpg");
    await close(page);
  });

  test("months and counts change at once, also in another tab, and on the return to a tab", async () => {
    const page = await openGallery(photos().slice(0, 3));
    const otherTab = await page.context().newPage();
    const [request] = await Promise.all([otherTab.waitForRequest("**/images/timeline"), otherTab.goto(service.url)]);
    const { authorization } = request.headers();
    await otherTab.locator(".tile").nth(2).waitFor();

    await uploadAndClose(page, [photos()[3]]);
    await page.getByText("4 pictures ·").waitFor();
    await otherTab.getByText("4 pictures ·").waitFor();
    await waitForTitles(otherTab, ["May 2024", "December 2019", "February 2016"]);

    await otherTab.locator(".tile").nth(2).hover();
    await otherTab.locator(".tile").nth(2).getByRole("checkbox").click();
    await otherTab.keyboard.press("Delete");
    await otherTab.getByText("3 pictures ·").waitFor();
    await otherTab.locator(".toast").getByRole("button", { name: "Close" }).click();
    await waitForTitles(page, ["May 2024", "February 2016"]);
    await page.getByText("3 pictures ·").waitFor();

    const id = await page.locator(".tile").last().getAttribute("data-id");
    const deletion = await page.request.delete(`${service.url}api/v1/images/${id}`, { headers: { authorization } });
    assert.equal(deletion.status(), 204);
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await waitForTitles(page, ["May 2024"]);
    await page.getByText("2 pictures ·").waitFor();
    assertNoErrors(page);
    await close(page);
  });

  test("a selection is downloaded as a ZIP file", async () => {
    const page = await openGallery(photos());
    await page.locator(".tile").nth(0).hover();
    await page.locator(".tile").nth(0).getByRole("checkbox").click();
    await page.locator(".tile").nth(2).click();
    await page.locator(".tile").nth(3).click();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.locator(".selection-bar").getByRole("button", { name: "Download" }).click(),
    ]);
    assert.match(download.suggestedFilename(), /^images-.*\.zip$/);
    const list = execFileSync(PYTHON, ["-m", "zipfile", "-l", await download.path()], { encoding: "utf8" });
    assert.deepEqual(list.match(/\S+\.jpg/g).sort(), ["2016-02-29.jpg", "2019-12-31.jpg", "2024-05-09.jpg"]);
    await page.getByText("The download has started").waitFor();

    await page.locator(".tile").nth(0).hover();
    await page.locator(".tile").nth(0).getByRole("checkbox").click();
    const [original] = await Promise.all([
      page.waitForEvent("download"),
      page.locator(".selection-bar").getByRole("button", { name: "Download" }).click(),
    ]);
    assert.equal(original.suggestedFilename(), "2024-05-09.jpg");
    assert.equal(statSync(await original.path()).size, statSync(photos()[1]).size);
    assertNoErrors(page);
    await close(page);
  });

  const noBodies = BROWSER === "firefox" && "Firefox does not report the bodies of requests";
  test("all images are selected and deleted, also those that are not loaded", { skip: noBodies }, async () => {
    const { page } = await openLargeGallery(1250, 30, { bypassCSP: true });
    await button(page, "Select").click();
    await button(page, "Select all").click();
    await page.getByText("1,250 selected").waitFor();
    await page.locator(".tile").first().click();
    await page.getByText("1,249 selected").waitFor();
    await page.locator(".selection-bar").getByRole("button", { name: "Download" }).click();
    await page.getByText("At most 500 pictures can be downloaded at once").waitFor();
    await page.locator(".toast").getByRole("button", { name: "Close" }).click();

    await page.locator(".selection-bar").getByRole("button", { name: "Delete" }).click();
    await page.getByText("1,249 pictures will be deleted").waitFor();
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await accessibilityViolations(page), []);
    }
    const held = [];
    await page.route("**/images/delete", (route) => held.push(route));
    await button(page, "Delete 1,249 pictures").click();
    while (!held.length) await page.waitForTimeout(50);
    await held.shift().fallback();
    await page.getByText("99 of 1,249 deleted").waitFor();
    await button(page, "Stop").click();
    while (!held.length) await page.waitForTimeout(50);
    await held.shift().fallback();
    await page.locator(".toast", { hasText: "199 pictures deleted" }).waitFor();
    await page.getByText("1,051 pictures ·").waitFor();
    assert.equal(held.length, 0);

    await page.unroute("**/images/delete");
    await simulateErrors(page);
    await button(page, "Select").click();
    await button(page, "Select all").click();
    await page.locator(".tile").first().click();
    await page.locator(".selection-bar").getByRole("button", { name: "Delete" }).click();
    await button(page, "Delete 1,050 pictures").click();
    await page.getByText("1 picture could not be deleted.").waitFor();
    await page.getByText("2 pictures ·").waitFor();
    await page.waitForFunction(() => document.querySelectorAll(".tile").length === 2);
    await close(page);
  });

  /** The first deletion reports an error for one image, after a response that the browser did not receive. */
  async function simulateErrors(page) {
    let attempts = 0;
    await page.route("**/images/delete", async (route) => {
      attempts += 1;
      if (attempts === 1) return route.abort();
      if (attempts > 2) return route.fallback();
      const { ids } = route.request().postDataJSON();
      const results = Object.fromEntries(ids.map((id) => [id, "deleted"]));
      results[ids[0]] = "dependency_unavailable";
      const body = JSON.stringify({ ids: ids.slice(1) });
      // The simulated library removes the others.
      await page.evaluate((content) => fetch("api/v1/images/delete", { method: "POST", body: content }), body);
      return route.fulfill({ json: { results } });
    });
  }

  test("the viewer goes from month to month, also if the next one is not loaded", async () => {
    const { page } = await openLargeGallery(1250, 30);
    await page.getByRole("slider").press("PageDown");
    await page.waitForFunction(isMonthAtTop, "December 2025");
    const section = page.locator(".grid-section", { hasText: "December 2025" });
    await section.locator(".tile a").first().click();
    await page.waitForFunction(() => document.querySelector(".frame img.loaded"));
    const shownNumber = () => page.evaluate(() => Number(location.hash.slice(-12)));
    const number = await shownNumber();
    for (const [name, step] of [
      ["Previous", 1],
      ["Next", 0],
      ["Next", -1],
    ]) {
      await button(page, name).click();
      await page.waitForFunction((n) => Number(location.hash.slice(-12)) === n, number + step);
    }
    assertNoErrors(page);
    await close(page);
  });

  test("images that are not in the timeline yet are shown in the order of their upload", async () => {
    const page = await openGallery(photos().slice(0, 2));
    await page.route("**/images/timeline", (route) => route.fulfill({ json: { months: [], images: 0 } }));
    await page.reload();
    await page.locator(".tile img.loaded").nth(1).waitFor();
    assert.equal(await page.getByLabel("Order of the pictures").inputValue(), "uploaded_at");
    await page.unroute("**/images/timeline");
    await page.reload();
    await waitForTitles(page, ["May 2024"]);
    await close(page);
  });

  for (const [name, options] of Object.entries({ phone: PHONE, tablet: TABLET, desktop: DESKTOP })) {
    test(`any month of a large library is reached with the slider on a ${name}`, async () => {
      const { page, library } = await openLargeGallery(8000, 96, { ...options, bypassCSP: true });
      const slider = page.getByRole("slider", { name: "Go to a month" });
      const { images } = library.timeline().months[0];
      assert.equal(await slider.getAttribute("aria-valuetext"), `November 2026, ${images} pictures`);
      await slider.focus();
      library.requests.length = 0;
      for (let year = 0; year < 5; year++) await page.keyboard.press("PageDown");
      assert.match(await slider.getAttribute("aria-valuetext"), /^December 2021, \d+ pictures$/);
      await page.keyboard.press("ArrowDown");
      await page.locator(".section-title", { hasText: "November 2021" }).waitFor();
      await page.waitForFunction(isMonthAtTop, "November 2021");
      for (const colorScheme of SCHEMES[name]) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await accessibilityViolations(page), []);
      }
      await page.evaluate(() => (document.documentElement.style.fontSize = "200%"));
      await page.waitForTimeout(100);
      const scrollWidth = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(scrollWidth <= options.viewport.width, `the page is ${scrollWidth} px wide`);
      await page.evaluate(() => (document.documentElement.style.fontSize = ""));

      await slider.press("Home");
      await page.waitForFunction(() => scrollY < 200);
      const box = await slider.boundingBox();
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width / 2, options.viewport.height - 1, { steps: 4 });
      await page.mouse.up();
      assert.match(await slider.getAttribute("aria-valuetext"), /^December 2018, /);
      await page.waitForFunction(() => document.querySelector(".grid-section:last-child .tile img.loaded"));
      assert.ok((await page.locator("main *").count()) < 3000);
      assertNoErrors(page);
      await close(page);
    });
  }
});

/** Returns whether the images of the month are loaded and its title is at the top of the visible part of the page. */
function isMonthAtTop(month) {
  const title = [...document.querySelectorAll(".section-title")].find(({ innerText }) => innerText.startsWith(month));
  const isLoaded = title?.parentElement.querySelector(".tile img.loaded");
  return Boolean(isLoaded) && Math.abs(title.getBoundingClientRect().top - 64) < 30;
}
