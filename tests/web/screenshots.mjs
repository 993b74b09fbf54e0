/**
 * Writes a screenshot of every view to a folder: `node tests/web/screenshots.mjs FOLDER`. It tests nothing; the screenshots
 * show a person what the tests cannot judge. Requires Chromium and the corpus of test images.
 */

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chooseFiles, DESKTOP, launch, openPage, PASSWORD, PHONE, register, TABLET, waitForUploads } from "./browser.mjs";
import { BACKEND, CORPUS, PYTHON, ROOT, startService } from "./service.mjs";

const SCREENS = { phone: PHONE, tablet: TABLET, desktop: DESKTOP };
const NAMES = [
  "libavif__paris_exif_xmp_icc.jpg",
  "sharp__4.webp",
  "storage__sadcat.jpg",
  "Pillow__flower2.webp",
  "Pillow__hopper.avif",
  "pillow_heif__arrow.heic",
  "Pillow__transparent.webp",
  "sharp__2569067123_aca715a2ee_o.jpg",
];
const PHOTOS = NAMES.map((name) => join(CORPUS, "good", name));
const SHARE_PASSWORD = "four words for friends";

const [folder] = process.argv.slice(2);
if (!folder) throw new Error("Usage: node tests/web/screenshots.mjs FOLDER");
mkdirSync(folder, { recursive: true });
const environment = (port) => ({
  REGISTRATION: "open",
  PUBLIC_URL: `http://localhost:${port}`,
  SMTP_URL: "smtp://127.0.0.1:9",
  EMAIL_FROM: "photos@example.com",
  USER_QUOTA_IMAGES: 200,
});

/** Runs a command of the operator and returns its output. */
const runCommand = (...args) =>
  execFileSync(PYTHON, ["-m", "app", ...args], { cwd: ROOT, env: service.settings, encoding: "utf8" }).trim();

const button = (page, name) => page.getByRole("button", { name, exact: true });

async function setTextSize(page, size) {
  await page.evaluate((value) => (document.documentElement.style.fontSize = value), size);
  const { width, height } = page.viewportSize();
  // The gallery is laid out again.
  for (const change of [1, 0]) await page.setViewportSize({ width: width + change, height });
}

const [service, browser] = await Promise.all([startService(BACKEND, { environment }), launch()]);
try {
  for (const [screen, options] of Object.entries(SCREENS)) {
    for (const colorScheme of ["light", "dark"]) await photograph(screen, { ...options, colorScheme });
  }
} finally {
  await browser.close();
  await service.stop();
}

/** Goes through all views on a screen. Each step starts where the previous one has ended. */
async function photograph(screen, options) {
  const page = await openPage(browser, service.url, options);
  const shoot = async (view, shown = page) => {
    await shown.waitForTimeout(500); // Animations end.
    await shown.screenshot({ path: join(folder, `${view}-${screen}-${options.colorScheme}.png`) });
    console.log(view, screen, options.colorScheme);
  };
  const user = await photographAccount(page, shoot);
  await photographGallery(page, shoot);
  await photographViewer(page, shoot);
  await photographDialogs(page, shoot);
  await photographShares(page, shoot, options);
  await photographPasswordReset(page, user, shoot);
  await page.context().close();
}

async function photographAccount(page, shoot) {
  await page.locator(".sign-in").waitFor();
  await shoot("welcome");
  await page.locator(".sign-in .mode-switch button").click();
  await shoot("sign-in");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password").fill("wrong password");
  await page.locator(".sign-in .primary").click();
  await page.locator(".sign-in .invalid").waitFor();
  await shoot("sign-in-failed");
  await button(page, "Forgot your password?").click();
  await button(page, "Send a link").waitFor();
  await shoot("password-forgotten");
  const link = runCommand("users", "invite", `ada-${Date.now()}@example.com`);
  await page.evaluate(() => localStorage.clear());
  await page.goto(link);
  await page.locator(".sign-in").waitFor();
  await shoot("invitation");
  await page.goto(service.url);
  const user = await register(page);
  await shoot("gallery-empty");
  return user;
}

async function photographGallery(page, shoot) {
  await chooseFiles(page, [...PHOTOS, join(CORPUS, "unsupported", "gen__html_named.jpg")]);
  await waitForUploads(page);
  await shoot("uploads");
  await page.locator(".upload-panel").getByRole("button", { name: "Done" }).click();
  await page.waitForFunction((n) => document.querySelectorAll(".tile img.loaded").length === n, PHOTOS.length);
  await shoot("gallery");
  await setTextSize(page, "200%");
  await shoot("gallery-200-percent");
  await setTextSize(page, "");
  await button(page, "Select").click();
  for (const index of [1, 2]) await page.locator(".tile").nth(index).click();
  await shoot("selection");
  await page.locator(".selection-bar").getByRole("button", { name: "Delete" }).click();
  await shoot("deletion-with-undo");
  await button(page, "Undo").click();
}

async function photographViewer(page, shoot) {
  await page.locator('.tile-link:has(img[alt*="paris"])').click();
  await page.waitForFunction(() => document.querySelector(".frame img.loaded"));
  await shoot("viewer");
  await page.keyboard.press("i");
  await shoot("viewer-with-toggled-details");
  await setTextSize(page, "200%");
  await shoot("viewer-200-percent");
  await setTextSize(page, "");
  await page.keyboard.press("Escape");
}

async function photographDialogs(page, shoot) {
  await button(page, "Picture by barcode").click();
  await shoot("product-import");
  await page.getByLabel("Product code").fill("3017620422004");
  await shoot("product-code-with-an-error");
  await page.getByLabel("Product code").fill("3017620422003");
  await button(page, "Get picture").click();
  await button(page, "Show").waitFor({ timeout: 600_000 });
  await shoot("product-imported");
  await page.keyboard.press("Escape");
  await button(page, "Account").click();
  await shoot("account");
  for (const section of ["Change password", "Signed-in devices", "Delete my account"]) {
    await page.locator("summary", { hasText: section }).click();
    await page.locator("summary", { hasText: section }).scrollIntoViewIfNeeded();
    await page.locator("summary", { hasText: section }).evaluate((summary) => summary.scrollIntoView());
    await shoot(`account-${section.toLowerCase().replaceAll(" ", "-")}`);
  }
  await setTextSize(page, "200%");
  await shoot("account-200-percent");
  await setTextSize(page, "");
  await page.keyboard.press("Escape");
}

async function photographShares(page, shoot, options) {
  const share = async ({ title = "", password = "" }) => {
    await button(page, "Select").click();
    for (const index of [0, 1, 2, 3, 4]) await page.locator(".tile").nth(index).click();
    await button(page, "Share").click();
    const dialog = page.getByRole("dialog", { name: "Share 5 pictures" });
    await dialog.getByLabel("Title").fill(title);
    await dialog.getByLabel("Password").fill(password);
    await shoot(`share-form${password && "-with-password"}`);
    await button(dialog, "Create link").click();
    await button(dialog, "Copy link").waitFor();
    await shoot(`share-link${password && "-with-password"}`);
    const link = await dialog.getByLabel("Link", { exact: true }).inputValue();
    await dialog.getByText("Shared links").click();
    await dialog.locator(".share img").first().waitFor();
    await shoot(`share-list${password && "-with-password"}`);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    return link;
  };
  const receiver = await openPage(browser, await share({ title: "Summer at the sea" }), options);
  await receiver.waitForFunction(() => [...document.images].every(({ naturalWidth }) => naturalWidth > 0));
  await shoot("share", receiver);
  await setTextSize(receiver, "200%");
  await shoot("share-200-percent", receiver);
  await receiver.goto(await share({ password: SHARE_PASSWORD }));
  await shoot("share-password", receiver);
  await receiver.getByLabel("Password").fill("wrong");
  await receiver.keyboard.press("Enter");
  await receiver.getByText("password is").first().waitFor().catch(() => {});
  await shoot("share-password-wrong", receiver);
  await receiver.getByLabel("Password").fill(SHARE_PASSWORD);
  await receiver.keyboard.press("Enter");
  await receiver.locator(".images img").first().waitFor();
  await shoot("share-after-password", receiver);
  await receiver.goto(`${service.url}s/no-such-share`);
  await shoot("share-missing", receiver);
  await receiver.context().close();
}

async function photographPasswordReset(page, { email }, shoot) {
  const link = runCommand("users", "reset-password", email);
  await button(page, "Account").click();
  await button(page, "Sign out").click();
  await page.getByText("You are signed out.").waitFor();
  await shoot("signed-out");
  await page.goto(link);
  await page.reload();
  await page.getByLabel("New password").fill(PASSWORD);
  await shoot("password-reset");
}
