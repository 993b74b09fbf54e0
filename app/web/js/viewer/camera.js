/** Describes what the camera recorded about an image. */

import { locale, translate } from "../ui/i18n.js";

const LONGEST_FRACTION_SECONDS = 0.3;

/** Returns [message key, text] for each property that is known. A position is known only if the service keeps it. */
export function cameraTexts(metadata) {
  const { taken_at, taken_offset, camera_make, camera_model, lens, position } = metadata;
  const isMakeRepeated = camera_model?.toLowerCase().startsWith(camera_make?.toLowerCase() ?? "");
  const texts = [
    ["details.taken", taken_at && formatWallTime(taken_at, taken_offset)],
    ["details.camera", [isMakeRepeated ? null : camera_make, camera_model].filter(Boolean).join(" ")],
    ["details.lens", lens],
    ["details.exposure", formatExposure(metadata)],
    ["details.place", position && formatPosition(position)],
  ];
  return texts.filter(([, text]) => text);
}

/** Formats the time on the clock of the camera, such as `2026-07-14T18:03:22.000`, in any time zone of the user. */
function formatWallTime(iso, offset) {
  const options = { dateStyle: "long", timeStyle: "short", timeZone: "UTC" };
  const time = new Intl.DateTimeFormat(locale, options).format(new Date(`${iso}Z`));
  return offset ? `${time} (UTC${offset})` : time;
}

function formatExposure({ exposure_seconds, f_number, iso, focal_length_mm }) {
  const isFraction = exposure_seconds <= LONGEST_FRACTION_SECONDS;
  const time = isFraction ? `1/${Math.round(1 / exposure_seconds)}` : exposure_seconds;
  const parts = [
    exposure_seconds && translate("details.seconds", { time }),
    f_number && `f/${f_number.toLocaleString(locale)}`,
    iso && `ISO ${iso}`,
    focal_length_mm && `${focal_length_mm.toLocaleString(locale)} mm`,
  ];
  return parts.filter(Boolean).join(" · ");
}

function formatPosition({ latitude, longitude }) {
  const degrees = (value) => `${Math.abs(value).toLocaleString(locale, { maximumFractionDigits: 4 })}°`;
  return `${degrees(latitude)} ${latitude < 0 ? "S" : "N"}, ${degrees(longitude)} ${longitude < 0 ? "W" : "E"}`;
}
