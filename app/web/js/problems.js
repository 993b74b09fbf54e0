/** What went wrong, in words for people. */

import { has, t } from "./parts/i18n.js";

/** An answer that is an error (RFC 9457), or the code `network` where there was no answer at all. */
export class Problem extends Error {
  constructor({ code, status = 0, detail = "", retryAfter = null }) {
    super(detail || code);
    Object.assign(this, { code, status, detail, retryAfter });
  }

  /** Whether the same request may well succeed later. */
  get passing() {
    return (
      ["network", "request_in_progress"].includes(this.code) ||
      [408, 429].includes(this.status) ||
      this.status >= 500
    );
  }
}

export function problemOf(status, body, retryAfter) {
  const { code = "unexpected", detail = "", errors = [] } = body ?? {};
  const faults = errors.map((fault) => `${fault.field.split(".").at(-1)}: ${fault.message}`).join(". ");
  return new Problem({ code, status, detail: faults || detail, retryAfter: Number(retryAfter) || null });
}

/** In another language than English our own words go first; in English the service's detail is more exact. */
export function explain(problem) {
  const { code, detail } = problem instanceof Problem || problem?.code ? problem : { code: "unexpected" };
  return has(`error.${code}`) ? t(`error.${code}`) : detail || t("error.unexpected");
}
