/** What the viewer shows about an image, and transparent images. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertNoErrors, DESKTOP, launch, noBrowser, openPage, register, uploadAndClose } from "./browser.mjs";
import { BACKEND, CORPUS, noCorpus, startService } from "./service.mjs";

const CHECKERBOARD = /repeating-conic-gradient/;
const backgroundOf = (locator) => locator.evaluate((element) => getComputedStyle(element).backgroundImage);

describe("the viewer", { skip: noBrowser || noCorpus, timeout: 600_000 }, () => {
  let service;
  let browser;
  let page;
  const open = async (name) => {
    await page.goto(service.url);
    await page.locator(`.tile-link:has(img[alt*="${name}"])`).click();
    await page.locator(".viewer .frame img.loaded").first().waitFor();
  };
  before(async () => {
    [service, browser] = await Promise.all([startService(BACKEND), launch()]);
    page = await openPage(browser, service.url, DESKTOP);
    await register(page);
    const files = ["libavif__paris_exif_xmp_icc.jpg", "sharp__grey-8bit-alpha.png"];
    await uploadAndClose(
      page,
      files.map((name) => join(CORPUS, "good", name)),
    );
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
  });

  test("the details contain what the camera recorded, but no place", async () => {
    await open("paris");
    const properties = page.locator(".properties");
    await properties.getByText("Camera", { exact: true }).waitFor();
    const text = await properties.innerText();
    for (const label of ["Taken", "Exposure", "Dimensions", "File", "Uploaded"]) assert.ok(text.includes(label), text);
    assert.ok(!text.includes("Place"), text);
    assertNoErrors(page);
  });

  test("a transparent image is on a checkerboard, and an opaque one is not", async () => {
    await page.goto(service.url);
    const tiles = page.locator(".tile-image");
    assert.match(await backgroundOf(tiles.locator("canvas.transparent ~ img.loaded")), CHECKERBOARD);
    assert.doesNotMatch(await backgroundOf(tiles.locator("canvas:not(.transparent) ~ img.loaded")), CHECKERBOARD);
    await open("alpha");
    assert.match(await backgroundOf(page.locator(".viewer .frame img.loaded").first()), CHECKERBOARD);
    assertNoErrors(page);
  });
});
