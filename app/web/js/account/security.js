/** Parts of the account dialog for accounts that the service itself stores: password and signed-in devices. */

import { describeProblem } from "../problems.js";
import { el, whileBusy } from "../ui/dom.js";
import { createField } from "../ui/forms.js";
import { language, translate } from "../ui/i18n.js";

export function createPasswordSection(api) {
  const passwordField = (label, autocomplete, more) =>
    createField(translate(label), { type: "password", autocomplete, required: true, maxlength: 128, ...more });
  const current = passwordField("account.currentPassword", "current-password");
  const password = passwordField("account.newPassword", "new-password", { minlength: 8 });
  const button = el("button", {}, translate("account.changePassword"));
  const status = el("p", { class: "muted", role: "status" });
  const form = el("form", {}, current.element, password.element, status, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    for (const { showMessage } of [current, password]) showMessage("");
    const body = { current_password: current.input.value, password: password.input.value };
    try {
      await whileBusy(button, () => api.patch("auth/me", body));
      form.reset();
      status.textContent = translate("account.passwordChanged");
    } catch (problem) {
      (problem.code === "password_incorrect" ? current : password).showMessage(describeProblem(problem));
    }
  });
  return createSection("account.changePassword", form);
}

/** Loads the sessions when the user opens the section. */
export function createSessionsSection(api) {
  const list = el("ul", { class: "sessions" });
  const error = el("p", { class: "form-error", role: "alert" });
  const show = async () => {
    error.textContent = "";
    try {
      const { sessions } = await api.get("auth/sessions");
      list.replaceChildren(...sessions.map((session) => createItem(session, end)));
      endOthers.hidden = sessions.length < 2;
    } catch (problem) {
      error.textContent = describeProblem(problem);
    }
  };
  const end = async (path) => {
    try {
      await api.delete(path);
    } catch (problem) {
      error.textContent = describeProblem(problem);
      return;
    }
    await show();
  };
  const endOthers = el("button", { type: "button", hidden: true }, translate("sessions.endOthers"));
  endOthers.addEventListener("click", () => whileBusy(endOthers, () => end("auth/sessions")));
  const section = createSection("sessions.title", list, error, endOthers);
  section.addEventListener("toggle", () => section.open && show());
  return section;
}

function createItem({ id, is_current: isCurrent, user_agent: userAgent, last_used_at: lastUsedAt }, end) {
  const button = el("button", { type: "button", class: "text-button" }, translate("account.signOut"));
  button.addEventListener("click", () => whileBusy(button, () => end(`auth/sessions/${id}`)));
  const time = lastUsedAt && new Date(lastUsedAt).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  return el(
    "li",
    {},
    el("span", {}, describeDevice(userAgent)),
    el("span", { class: "muted" }, isCurrent ? translate("sessions.current") : time),
    isCurrent ? null : button,
  );
}

/** Returns the browser and the system of a User-Agent header, or its first product. */
function describeDevice(userAgent) {
  const find = (...names) => names.find((name) => userAgent?.includes(name));
  const browser = find("Firefox", "Edg", "OPR", "Chrome", "Safari")?.replace("Edg", "Edge").replace("OPR", "Opera");
  const system = find("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")?.replace("Mac OS", "macOS");
  return [browser, system].filter(Boolean).join(", ") || userAgent?.split(/[ /]/)[0] || translate("sessions.unknown");
}

function createSection(title, ...content) {
  return el("details", { class: "account-section" }, el("summary", {}, translate(title)), ...content);
}
