/** Tests the viewer: zooming with each input device, and the files that it loads for that. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  accessibilityViolations,
  assertNoErrors,
  DESKTOP,
  launch,
  noChromium,
  openPage,
  PHONE,
  register,
  uploadAndClose,
} from "./browser.mjs";
import { CORPUS, noCorpus, startService } from "./service.mjs";

const PHOTO = "sharp__2569067123_aca715a2ee_o.jpg";
const HEIC = "pillow_heif__arrow.heic";
const HEIC_WIDTH = 3024;
const SCREENS = {
  desktop: { ...DESKTOP, colorScheme: "light" },
  phone: { ...PHONE, colorScheme: "dark", reducedMotion: "reduce" },
};
// Keys, and the side of the image that they move into the view.
const SIDES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "top", ArrowDown: "bottom" };

const skip = noChromium || noCorpus;
let service;
let browser;
before(async () => skip || ([service, browser] = await Promise.all([startService("embedded"), launch()])));
after(async () => {
  await browser?.close();
  await service?.stop();
});

for (const [screen, options] of Object.entries(SCREENS)) {
  describe(`zooming on a ${screen} screen`, { skip, timeout: 600_000 }, () => {
    let page;
    before(async () => {
      // axe is injected into the page as text, which the page's content security policy forbids.
      page = await openPage(browser, service.url, { ...options, bypassCSP: true });
      await register(page);
      await uploadAndClose(
        page,
        [PHOTO, HEIC].map((name) => join(CORPUS, "good", name)),
      );
    });

    const open = async (name) => {
      await page.goto(service.url);
      await page.locator(".tile", { has: page.getByRole("img", { name }) }).locator("a").click();
      await page.locator(".viewer-title", { hasText: name }).waitFor();
      await page.waitForFunction(() => document.querySelector(".frame img.loaded"));
    };
    const scale = () => page.locator(".frame").evaluate((frame) => Number(frame.style.getPropertyValue("--zoom")));
    const waitForScale = async (isExpected) => {
      while (!isExpected(await scale())) await page.waitForTimeout(50);
    };
    const press = async (key, times) => {
      for (let i = 0; i < times; i++) await page.keyboard.press(key);
    };
    /** Returns the edges of the image and of its pane when the image has stopped moving. */
    const edges = async () => {
      await page.waitForFunction(() => !document.querySelector(".frame").getAnimations().length);
      return page.evaluate(() =>
        [".frame", ".image-pane"].map((selector) => document.querySelector(selector).getBoundingClientRect().toJSON()),
      );
    };
    const assertReachesEdge = async (side) => {
      const [image, pane] = await edges();
      assert.ok(Math.abs(image[side] - pane[side]) < 1, `${side}: ${image[side]} in a pane to ${pane[side]}`);
      assert.ok(image.left < pane.left + 1 && image.right > pane.right - 1, JSON.stringify([image, pane]));
      assert.ok(image.top < pane.top + 1 && image.bottom > pane.bottom - 1, JSON.stringify([image, pane]));
    };
    const middleOfPane = async () => {
      const { x, y, width, height } = await page.locator(".image-pane").boundingBox();
      return { x: x + width / 2, y: y + height / 2 };
    };
    const touch = async (steps) => {
      const devtools = await page.context().newCDPSession(page);
      for (const [type, ...points] of steps) {
        const touchPoints = points.map(([x, y], id) => ({ x, y, id }));
        await devtools.send("Input.dispatchTouchEvent", { type, touchPoints });
      }
    };
    const swipe = ({ x, y }, by) =>
      touch([["touchStart", [x, y]], ["touchMove", [x + by / 2, y]], ["touchMove", [x + by, y]], ["touchEnd"]]);
    const screenshot = (name) =>
      process.env.SCREENSHOTS && page.screenshot({ path: join(process.env.SCREENSHOTS, `${screen}-${name}.png`) });

    test("keys zoom, announce it, and move the image to its edges but not further", async () => {
      await open(PHOTO);
      await screenshot("fitted");
      await press("+", 2);
      await waitForScale((value) => value === 2.25);
      await page.getByRole("status").getByText("225% of the fitted size").waitFor({ state: "attached" });
      assert.deepEqual(await accessibilityViolations(page), []);
      await press("+", 2);
      for (const [key, side] of Object.entries(SIDES)) {
        await press(key, 30);
        await assertReachesEdge(side);
      }
      await screenshot("zoomed");
      assert.equal(await page.locator(".viewer-title").textContent(), PHOTO);
      await press("0", 1);
      await waitForScale((value) => value === 1);
      await press("-", 1);
      await waitForScale((value) => value === 1);
      assertNoErrors(page);
    });

    test("buttons zoom", async () => {
      await open(PHOTO);
      await page.getByRole("button", { name: "Zoom in" }).click();
      await waitForScale((value) => value === 1.5);
      await page.getByRole("button", { name: "Zoom out" }).click();
      await waitForScale((value) => value === 1);
      await page.getByRole("button", { name: "Zoom in" }).click();
      await page.getByRole("button", { name: "Fit to the screen" }).click();
      await waitForScale((value) => value === 1);
    });

    test("a HEIC photo of 12 megapixels is shown with all its pixels", async () => {
      await open(HEIC);
      await press("+", 12);
      const width = await page.waitForFunction(
        (expected) =>
          [...document.querySelectorAll(".frame .sharp.loaded")].find(({ naturalWidth }) => naturalWidth === expected)
            ?.clientWidth,
        HEIC_WIDTH,
      );
      const pixels = (await width.jsonValue()) * (await scale()) * (await page.evaluate(() => devicePixelRatio));
      assert.ok(pixels >= HEIC_WIDTH, `${pixels} pixels of the screen`);
      await page.waitForFunction(() => document.querySelectorAll(".frame .sharp").length === 1);
      await screenshot("heic");
      assertNoErrors(page);
    });

    if (screen === "desktop") {
      test("double clicks, the wheel and dragging", async () => {
        await open(PHOTO);
        const { x, y } = await middleOfPane();
        await page.mouse.dblclick(x, y);
        await waitForScale((value) => value >= 2);
        await page.mouse.dblclick(x, y);
        await waitForScale((value) => value === 1);
        for (let i = 0; i < 2; i++) await page.mouse.wheel(0, -600);
        await waitForScale((value) => value > 2.5);
        for (const [dx, dy, sides] of [
          [-1, -1, ["right", "bottom"]],
          [1, 1, ["left", "top"]],
        ]) {
          await page.mouse.move(x, y);
          for (let i = 0; i < 8; i++) {
            await page.mouse.down();
            await page.mouse.move(x + dx * 300, y + dy * 300, { steps: 3 });
            await page.mouse.up();
            await page.mouse.move(x, y);
          }
          for (const side of sides) await assertReachesEdge(side);
        }
        assertNoErrors(page);
      });
    } else {
      test("double taps, two fingers, and one finger that moves a zoomed image or swipes to the next one", async () => {
        await open(HEIC);
        const { x, y } = await middleOfPane();
        await page.touchscreen.tap(x, y);
        await page.touchscreen.tap(x, y);
        await waitForScale((value) => value >= 2);
        await swipe({ x: x + 100, y }, -200);
        assert.equal(await page.locator(".viewer-title").textContent(), HEIC);
        await press("0", 1);
        const spread = (distance) => [-1, 1].map((side) => [x + side * distance, y]);
        await touch([
          ["touchStart", ...spread(40)],
          ...[60, 80, 100, 120].map((distance) => ["touchMove", ...spread(distance)]),
          ["touchEnd"],
        ]);
        await waitForScale((value) => value > 2.5);
        const [{ left }] = await edges();
        await swipe({ x, y }, 60);
        assert.ok((await edges())[0].left > left + 20);
        await press("0", 1);
        await swipe({ x: x - 100, y }, 200);
        await page.locator(".viewer-title", { hasText: PHOTO }).waitFor();
        assertNoErrors(page);
      });

      test("the image does not move by itself if the user prefers reduced motion", async () => {
        await open(PHOTO);
        await press("+", 1);
        const duration = await page
          .locator(".frame.animated")
          .evaluate((frame) => Number.parseFloat(getComputedStyle(frame).transitionDuration));
        assert.ok(duration < 0.001, `${duration} s`);
      });
    }
  });
}
