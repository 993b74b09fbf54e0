/** Fetches the picture of a product by the code under its barcode, and shows how that goes. */

import { newKey } from "../api.js";
import { busy, h } from "../parts/dom.js";
import { openDialog } from "../parts/dialogs.js";
import { field } from "../parts/forms.js";
import { t } from "../parts/i18n.js";
import { explain } from "../problems.js";
import { check, normalise } from "./ean.js";
import { jobCard } from "./job_card.js";

const RECENT = 5;

/** `onImage(id)` opens what came of it. */
export function openProducts(desk, { onImage }) {
  const { api } = desk;
  const cards = h("ul", { class: "jobs", "aria-label": t("ean.recent") }, [...desk.imports.values()].reverse());
  const code = codeField();
  const submit = h("button", { class: "primary", disabled: true }, t("ean.fetch"));
  const form = h("form", { class: "ean-form" }, code.element, submit);
  openDialog(t("ean.title"), [h("p", { class: "muted" }, t("ean.text")), form, cards]);

  code.input.addEventListener("input", () => (submit.disabled = !say(code)));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { isGood, code: ean } = check(code.input.value);
    if (!isGood) return;
    await busy(submit, async () => {
      try {
        cards.prepend(jobCard(desk, await requestImage(api, ean), { onImage }));
        code.input.value = "";
        code.say("");
      } catch (problem) {
        code.say(explain(problem));
      }
    });
    if (document.activeElement === submit) code.input.focus();
    submit.disabled = !check(code.input.value).isGood;
  });
  showRecent(desk, (job) => cards.append(jobCard(desk, job, { onImage })));
}

const requestImage = (api, ean) =>
  api.post("fetch-image", { ean_code: ean }, { headers: { "Idempotency-Key": newKey() } });

function codeField() {
  const attributes = {
    inputmode: "numeric",
    autocomplete: "off",
    placeholder: "3017620422003",
    maxlength: 20,
    autofocus: true,
  };
  return field(t("ean.code"), attributes, { hint: t("ean.hint") });
}

/** Says beside the field what is missing or wrong; returns whether the code is good. */
function say({ input, say: sayBeside }) {
  const { isGood, fault, expected } = check(input.value);
  const count = normalise(input.value).length;
  if (!count) sayBeside("");
  else if (isGood) sayBeside(t("ean.good"), false);
  else sayBeside(t(`ean.fault.${fault}`, { count, expected }), fault !== "short");
  return isGood;
}

async function showRecent({ api, imports }, show) {
  const { items } = await api.get("jobs?limit=20").catch(() => ({ items: [] }));
  const recent = items.filter(({ kind }) => kind === "fetch").slice(0, RECENT);
  for (const job of recent) if (!imports.has(job.job_id)) show(job);
}
