/** Tests the pages about the API: Swagger UI and Redoc. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertNoErrors, launch, noChromium, openPage } from "./browser.mjs";
import { startService } from "./service.mjs";

describe("pages about the API", { skip: noChromium, timeout: 600_000 }, () => {
  let service;
  let browser;
  let user;
  before(async () => {
    [service, browser] = await Promise.all([startService("embedded"), launch()]);
    user = await registerUser(service.url);
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
  });

  test("Swagger UI signs in with a password and sends the token", async () => {
    const page = await openPage(browser, `${service.url}docs`);
    const dialog = await openAuthorization(page, "password (OAuth2, password)");
    await dialog.locator("#oauth_username").fill(user.email);
    await dialog.locator("#oauth_password").fill(user.password);
    await authorize(page, dialog);
    assert.equal((await executeGetAccount(page)).email, user.email);
    assertNoErrors(page);
    await page.context().close();
  });

  test("Swagger UI sends a token that was pasted", async () => {
    const page = await openPage(browser, `${service.url}docs`);
    const dialog = await openAuthorization(page, "bearer (http, Bearer)");
    await dialog.locator("input").fill(user.token);
    await authorize(page, dialog);
    assert.equal((await executeGetAccount(page)).email, user.email);
    assertNoErrors(page);
    await page.context().close();
  });

  test("Redoc shows the operations", async () => {
    const page = await openPage(browser, `${service.url}redoc`);
    await page.getByRole("heading", { name: "Upload Image" }).first().waitFor();
    await page.waitForLoadState("networkidle");
    assertNoErrors(page);
    await page.context().close();
  });
});

async function registerUser(url) {
  const user = { email: `reader-${process.pid}-${Date.now()}@example.com`, password: "a long enough passphrase" };
  const response = await fetch(`${url}api/v1/auth/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(user),
  });
  return { ...user, token: (await response.json()).access_token };
}

/** Opens the dialog and returns its part for one security scheme. */
async function openAuthorization(page, scheme) {
  await page.locator(".scheme-container .authorize").click();
  return page.locator(".modal-ux .auth-container", { hasText: scheme });
}

async function authorize(page, dialog) {
  await dialog.locator(".auth.authorize").click();
  await dialog.getByRole("button", { name: "Logout" }).or(dialog.getByText("Logout")).first().waitFor();
  await page.locator(".modal-ux .close-modal").click();
}

/** Sends GET /auth/me with Swagger UI, and returns the body of the response. */
async function executeGetAccount(page) {
  const operation = page.locator("#operations-accounts-getAccount");
  await operation.locator(".opblock-summary-control").click();
  await operation.locator(".try-out__btn").click();
  const response = page.waitForResponse("**/api/v1/auth/me");
  await operation.locator(".execute").click();
  await operation.locator(".live-responses-table .response-col_status", { hasText: "200" }).first().waitFor();
  return (await response).json();
}
