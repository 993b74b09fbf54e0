/** Sections of the library: one for each month in which images were taken, or one for all images by upload time. */

import { locale } from "../ui/i18n.js";

/** A section of a month such as `2024-05`, or of all images if `month` is null. `count` includes those not loaded yet. */
export const createSection = (month, count) => ({
  month,
  count,
  /** The loaded and visible images, in the order of the page. */
  images: [],
  hiddenCount: 0,
  cursor: null,
  isLoading: false,
  /** The promise of the page that is being loaded. */
  loading: null,
  /** Whether its page contains no adjacent sections. */
  isLoadedAlone: false,
  isComplete: false,
  problem: null,
  /** The ids that were returned since the section began to load. When it is complete, the others no longer exist. */
  seenIds: new Set(),
  usedAt: 0,
});

/** The time that orders the images of the timeline: that of the camera, or else the upload time in UTC. */
const takenAt = ({ metadata, uploaded_at: uploadedAt }) =>
  metadata?.taken_at ?? new Date(uploadedAt).toISOString().slice(0, -1);

export const monthOf = (view) => takenAt(view).slice(0, 7);

const nextMonth = (month) => {
  const [year, number] = month.split("-").map(Number);
  const [nextYear, nextNumber] = number === 12 ? [year + 1, 1] : [year, number + 1];
  return `${String(nextYear).padStart(4, "0")}-${String(nextNumber).padStart(2, "0")}`;
};

/** The parameters of a request for the images of these adjacent sections. */
export function parametersOf(sections) {
  if (sections[0].month === null) return {};
  return {
    sort: "taken_at",
    taken_after: `${sections.at(-1).month}-01`,
    taken_before: `${nextMonth(sections[0].month)}-01`,
  };
}

/** Sorts images newest first. Ids sort by upload time. */
export function sortViews(views, sort) {
  const keyOf = sort === "taken_at" ? (view) => takenAt(view) + view.id : (view) => view.id;
  return views
    .map((view) => ({ view, key: keyOf(view) }))
    .sort((a, b) => (a.key < b.key ? 1 : -1))
    .map(({ view }) => view);
}

export const formatMonth = (month, options = { month: "long", year: "numeric" }) =>
  new Intl.DateTimeFormat(locale, { ...options, timeZone: "UTC" }).format(new Date(`${month}-01T00:00:00Z`));
