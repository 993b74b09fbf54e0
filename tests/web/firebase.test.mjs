/** The same page with AUTH=firebase: accounts that Firebase keeps, here its Auth emulator. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertNoComplaints, launch, noChromium, openPage, register, stock } from "./browser.mjs";
import { CORPUS, noCorpus, startService } from "./service.mjs";

const EMULATOR = process.env.FIREBASE_AUTH_EMULATOR_HOST;
const noEmulator = EMULATOR ? false : "no Firebase Auth emulator: run `make test-firebase`, which starts one";
const PROJECT = "demo-images";
const SETTINGS = {
  AUTH: "firebase",
  GOOGLE_CLOUD_PROJECT: PROJECT,
  FIREBASE_API_KEY: "any",
  FIREBASE_AUTH_EMULATOR_HOST: EMULATOR,
};
const PHOTO = join(CORPUS, "good", "sharp__4.webp");
const PASSED_MS = 61 * 60 * 1000;

describe("with accounts kept by Firebase", { skip: noEmulator || noChromium || noCorpus, timeout: 60_000 }, () => {
  let service;
  let browser;
  before(async () => {
    [service, browser] = await Promise.all([startService("embedded", { changes: SETTINGS }), launch()]);
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  const opened = async () => {
    const page = await openPage(browser, service.url);
    return { page, person: await register(page) };
  };
  const tilesAre = (page, count) => page.waitForFunction((n) => document.querySelectorAll(".tile").length === n, count);

  test("who signs out and in again finds the pictures there; a wrong password is told in words", async () => {
    const { page, person } = await opened();
    await stock(page, [PHOTO]);
    await signOut(page);
    assertNoComplaints(page);
    await signIn(page, { ...person, password: "not this passphrase" });
    await isRefused(page);
    await signIn(page, person);
    await tilesAre(page, 1);
    await page.waitForFunction(() => document.querySelector(".tile img.there"));
    await page.getByText("1 picture").first().waitFor();
    assertNoComplaints(page);
    await page.context().close();
  });

  test("an address that has an account is told beside it", async () => {
    const { page, person } = await opened();
    await signOut(page);
    await page.getByRole("button", { name: "Create one" }).click();
    await signIn(page, person);
    await page.getByText("There is an account with this e-mail address already.").waitFor();
    assert.equal(await page.getByLabel("E-mail").getAttribute("aria-invalid"), "true");
    await page.context().close();
  });

  test("tokens are renewed in time, and a page that is loaded again goes on", async () => {
    const { page } = await opened();
    const renewed = [];
    page.on("response", (response) => response.url().endsWith("/auth/refresh") && renewed.push(response));
    await page.clock.install();
    await page.clock.fastForward(PASSED_MS);
    const sending = page.waitForRequest("**/images/upload");
    await stock(page, [PHOTO]);
    assert.equal(renewed.length, 1);
    const { access_token: token } = await renewed[0].json();
    assert.equal((await sending).headers().authorization, `Bearer ${token}`);
    await page.reload();
    await tilesAre(page, 1);
    assert.equal(renewed.length, 2);
    assertNoComplaints(page);
    await page.context().close();
  });

  test("an account that was deleted is gone from Firebase too", async () => {
    const { page, person } = await opened();
    assert.equal(await isKnown(person), true);
    await page.getByRole("button", { name: "Account" }).click();
    await page.getByText("Delete my account").click();
    await page.getByLabel(`Type ${person.email} to confirm`).fill(person.email);
    await page.getByRole("button", { name: "Delete account and pictures" }).click();
    await page.getByText("are being deleted").waitFor();
    assertNoComplaints(page);
    assert.equal(await isKnown(person), false);
    await signIn(page, person);
    await isRefused(page);
    await page.context().close();
  });
});

async function signOut(page) {
  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
}

async function signIn(page, { email, password }) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.locator(".sign-in .primary").click();
}

/** The browser logs the answer 401 by itself, which is no fault of the page. */
async function isRefused(page) {
  await page.getByText("The e-mail address or the password is wrong.").waitFor();
  assert.ok(page.complaints.every((text) => text.includes("401")));
  page.complaints = [];
}

/** Asks the emulator itself, as the project's owner may. */
async function isKnown({ email }) {
  const url = `http://${EMULATOR}/identitytoolkit.googleapis.com/v1/projects/${PROJECT}/accounts:lookup`;
  const headers = { Authorization: "Bearer owner", "Content-Type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ email: [email] }) });
  assert.equal(response.status, 200);
  return (await response.json()).users?.length === 1;
}
