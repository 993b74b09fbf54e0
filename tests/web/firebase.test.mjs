/** Tests the page with AUTH=firebase against the Firebase Auth emulator. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertNoErrors, launch, noChromium, openPage, register, uploadAndClose } from "./browser.mjs";
import { CORPUS, noCorpus, startService } from "./service.mjs";

const EMULATOR = process.env.FIREBASE_AUTH_EMULATOR_HOST;
const noEmulator = EMULATOR ? false : "requires the Firebase Auth emulator: run `make test-firebase`";
const PROJECT = "demo-images";
const ENVIRONMENT = {
  AUTH: "firebase",
  GOOGLE_CLOUD_PROJECT: PROJECT,
  FIREBASE_API_KEY: "any",
  FIREBASE_AUTH_EMULATOR_HOST: EMULATOR,
};
const PHOTO = join(CORPUS, "good", "sharp__4.webp");
const ACCESS_TOKEN_EXPIRED_MS = 61 * 60 * 1000;

describe("accounts in Firebase", { skip: noEmulator || noChromium || noCorpus, timeout: 600_000 }, () => {
  let service;
  let browser;
  before(async () => {
    [service, browser] = await Promise.all([startService("embedded", { environment: ENVIRONMENT }), launch()]);
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  const openGallery = async () => {
    const page = await openPage(browser, service.url);
    return { page, user: await register(page) };
  };
  const waitForTiles = (page, count) =>
    page.waitForFunction((n) => document.querySelectorAll(".tile").length === n, count);

  test("images are available after signing out and in again, and a wrong password shows an error", async () => {
    const { page, user } = await openGallery();
    await uploadAndClose(page, [PHOTO]);
    await signOut(page);
    assertNoErrors(page);
    await signIn(page, { ...user, password: "not this passphrase" });
    await waitForRejectedSignIn(page);
    await signIn(page, user);
    await waitForTiles(page, 1);
    await page.waitForFunction(() => document.querySelector(".tile img.loaded"));
    await page.getByText("1 picture").first().waitFor();
    assertNoErrors(page);
    await page.context().close();
  });

  test("an email address that is already registered shows an error below the field", async () => {
    const { page, user } = await openGallery();
    await signOut(page);
    await page.getByRole("button", { name: "Create one" }).click();
    await signIn(page, user);
    await page.getByText("An account with this email address already exists.").waitFor();
    assert.equal(await page.getByLabel("Email").getAttribute("aria-invalid"), "true");
    await page.context().close();
  });

  test("an expired token is renewed, and the session continues after a reload", async () => {
    const { page } = await openGallery();
    const refreshResponses = [];
    page.on("response", (response) => response.url().endsWith("/auth/refresh") && refreshResponses.push(response));
    await page.clock.install();
    await page.clock.fastForward(ACCESS_TOKEN_EXPIRED_MS);
    const uploadRequest = page.waitForRequest("**/images/upload");
    await uploadAndClose(page, [PHOTO]);
    assert.equal(refreshResponses.length, 1);
    const { access_token: token } = await refreshResponses[0].json();
    assert.equal((await uploadRequest).headers().authorization, `Bearer ${token}`);
    await page.reload();
    await waitForTiles(page, 1);
    assert.equal(refreshResponses.length, 2);
    assertNoErrors(page);
    await page.context().close();
  });

  test("deleting an account also deletes it in Firebase", async () => {
    const { page, user } = await openGallery();
    assert.equal(await existsInFirebase(user), true);
    await page.getByRole("button", { name: "Account" }).click();
    await page.getByText("Delete my account").click();
    await page.getByLabel(`Type ${user.email} to confirm`).fill(user.email);
    await page.getByRole("button", { name: "Delete account and pictures" }).click();
    await page.getByText("are being deleted").waitFor();
    assertNoErrors(page);
    assert.equal(await existsInFirebase(user), false);
    await signIn(page, user);
    await waitForRejectedSignIn(page);
    await page.context().close();
  });
});

async function signOut(page) {
  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
}

async function signIn(page, { email, password }) {
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.locator(".sign-in .primary").click();
}

/** The browser logs the 401 response as an error, which is expected. */
async function waitForRejectedSignIn(page) {
  await page.getByText("The email address or the password is wrong.").waitFor();
  assert.ok(page.errors.every((text) => text.includes("401")));
  page.errors = [];
}

/** Looks up the user in the emulator with owner credentials. */
async function existsInFirebase({ email }) {
  const url = `http://${EMULATOR}/identitytoolkit.googleapis.com/v1/projects/${PROJECT}/accounts:lookup`;
  const headers = { Authorization: "Bearer owner", "Content-Type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ email: [email] }) });
  assert.equal(response.status, 200);
  return (await response.json()).users?.length === 1;
}
