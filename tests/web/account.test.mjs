/** Tests what users do with their account: password, signed-in devices, sign-out, and a forgotten password. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import {
  accessibilityViolations,
  allowClipboard,
  assertNoErrors,
  launch,
  noBrowser,
  openPage,
  PASSWORD,
  register,
} from "./browser.mjs";
import { BACKEND, PYTHON, ROOT, startService } from "./service.mjs";

const NEW_PASSWORD = "another long passphrase";

describe("account", { skip: noBrowser, timeout: 600_000 }, () => {
  let service;
  let browser;

  const open = () => openPage(browser, service.url, { bypassCSP: true });
  const button = (page, name) => page.getByRole("button", { name, exact: true });
  const signIn = async (page, email, password) => {
    const toSignIn = page.locator(".mode-switch").getByRole("button", { name: "Sign in" });
    if (await toSignIn.isVisible()) await toSignIn.click();
    await page.getByLabel("Email").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.locator("form.sign-in").getByRole("button", { name: "Sign in", exact: true }).first().click();
    await button(page, "Account").waitFor();
  };

  before(async () => {
    const environment = (port) => ({
      REGISTRATION: "open",
      PUBLIC_URL: `http://localhost:${port}`,
      SMTP_URL: "smtp://127.0.0.1:9",
      EMAIL_FROM: "photos@example.com",
    });
    [service, browser] = await Promise.all([startService(BACKEND, { environment }), launch()]);
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
  });

  test("the password is changed, which signs out the other devices", async () => {
    const [phone, laptop] = [await open(), await open()];
    const { email } = await register(phone);
    await signIn(laptop, email, PASSWORD);
    await button(phone, "Account").click();
    await phone.getByText("Signed-in devices").click();
    await phone.locator(".sessions li").nth(1).waitFor();
    assert.equal(await phone.locator(".sessions").getByText("This device").count(), 1);
    await phone.locator("summary", { hasText: "Change password" }).click();
    assert.deepEqual(await accessibilityViolations(phone), []);

    await phone.getByLabel("Current password").fill("wrong password");
    await phone.getByLabel("New password").fill(NEW_PASSWORD);
    await button(phone, "Change password").click();
    await phone.getByText("The current password is incorrect.").waitFor();
    await phone.getByLabel("Current password").fill(PASSWORD);
    await button(phone, "Change password").click();
    await phone.getByText("The password was changed.").waitFor();

    await laptop.reload();
    await laptop.getByText("Your session has expired").waitFor();
    await laptop.getByLabel("Password").fill(NEW_PASSWORD);
    await laptop.locator("dialog").getByRole("button", { name: "Sign in", exact: true }).click();
    await laptop.getByText("Your session has expired").waitFor({ state: "hidden" });
    for (const page of [phone, laptop]) await page.context().close();
  });

  test("password fields are masked, accept pasted text and are known to password managers", async () => {
    const page = await open();
    await allowClipboard(page);
    await page.evaluate((text) => navigator.clipboard.writeText(text), PASSWORD);
    const check = async (label, purpose) => {
      const field = page.getByLabel(label, { exact: true });
      assert.equal(await field.getAttribute("type"), "password", label);
      assert.equal(await field.getAttribute("autocomplete"), purpose, label);
      await field.press("ControlOrMeta+V");
      assert.equal(await field.inputValue(), PASSWORD, label);
      await field.fill("");
    };
    await check("Password", "new-password");
    const { email } = await register(page);
    await button(page, "Account").click();
    await page.locator("summary", { hasText: "Change password" }).click();
    await check("Current password", "current-password");
    await check("New password", "new-password");
    await page.locator("summary", { hasText: "Delete my account" }).click();
    await check("Enter your password to confirm", "current-password");
    await button(page, "Sign out").click();
    await page.getByText("You are signed out.").waitFor();
    await check("Password", "current-password");
    await page.goto(`${service.url}#reset=token-of-${email}`);
    await page.reload();
    await check("New password", "new-password");
    assertNoErrors(page);
    await page.context().close();
  });

  test("another device is signed out", async () => {
    const [phone, laptop] = [await open(), await open()];
    const { email } = await register(phone);
    await signIn(laptop, email, PASSWORD);
    await button(phone, "Account").click();
    await phone.getByText("Signed-in devices").click();
    await phone.locator(".sessions").getByRole("button", { name: "Sign out" }).click();
    await phone.locator(".sessions li").nth(1).waitFor({ state: "detached" });
    await laptop.reload();
    await laptop.getByText("Your session has expired").waitFor();
    assertNoErrors(phone);
    for (const page of [phone, laptop]) await page.context().close();
  });

  test("signing out ends the session in the service", async () => {
    const page = await open();
    await register(page);
    const stored = await page.evaluate(() => localStorage.getItem("pictures.session"));
    await button(page, "Account").click();
    await button(page, "Sign out").click();
    await page.getByText("You are signed out.").waitFor();
    // The page does not wait for the response, so the service may still have to handle the request.
    let tokens = JSON.parse(stored);
    for (;;) {
      const body = new URLSearchParams({ refresh_token: tokens.refresh_token });
      const refreshed = await fetch(`${service.url}api/v1/auth/refresh`, { method: "POST", body });
      if (refreshed.status === 401) break;
      tokens = await refreshed.json();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await page.context().close();
  });

  test("a forgotten password is replaced with a link", async () => {
    const page = await open();
    const { email } = await register(page);
    const user = await open();
    await user.getByRole("button", { name: "Forgot your password?" }).click();
    // The form is loaded when it is needed. Until then, there is the email field of the other form.
    await button(user, "Send a link").waitFor();
    await user.getByLabel("Email").fill(email);
    await button(user, "Send a link").click();
    await user.getByText("a link is on its way").waitFor();
    assert.deepEqual(await accessibilityViolations(user), []);

    const arguments_ = ["-m", "app", "users", "reset-password", email];
    const link = execFileSync(PYTHON, arguments_, { cwd: ROOT, env: service.settings, encoding: "utf8" }).trim();
    await page.goto(link);
    await page.reload();
    await page.getByLabel("New password").fill(NEW_PASSWORD);
    assert.deepEqual(await accessibilityViolations(page), []);
    await button(page, "Change password").click();
    await page.getByText("The password was changed.").waitFor();
    assert.equal(new URL(page.url()).hash, "");
    await signIn(page, email, NEW_PASSWORD);
    for (const each of [page, user]) await each.context().close();
  });
});
