/** Intercepts the lists of images: the page sees a library of any size, whose images are copies of one real image. */

/** Returns the counts of `months` months, newest first, whose sum is `total`. Months are of different sizes. */
export function spreadOverMonths(total, months, newestMonth = "2026-11") {
  const weights = Array.from({ length: months }, (_, i) => 1 + ((i * 7) % 5));
  const sum = weights.reduce((a, b) => a + b);
  const counts = weights.map((weight) => Math.floor((total * weight) / sum));
  counts[0] += total - counts.reduce((a, b) => a + b);
  const [year, month] = newestMonth.split("-").map(Number);
  return counts.map((images, i) => {
    const number = year * 12 + month - 1 - i;
    return { month: `${Math.floor(number / 12)}-${String((number % 12) + 1).padStart(2, "0")}`, images };
  });
}

/**
 * Returns {requests, timeline()}. `requests` are the queries of the lists that were requested. Deleted images are no longer
 * in the lists.
 */
export async function simulateLibrary(page, months) {
  const deleted = new Set();
  const requests = [];
  let view = null;
  const total = months.reduce((sum, { images }) => sum + images, 0);
  const starts = months.map((_, i) => months.slice(0, i).reduce((sum, { images }) => sum + images, 0));
  const monthAt = (n) => starts.findLastIndex((start) => start <= n);
  const create = (n) => {
    const { month, images } = months[monthAt(n)];
    const minutes = Math.floor(((images - (n - starts[monthAt(n)])) / (images + 1)) * 28 * 24 * 60);
    const takenAt = new Date(Date.parse(`${month}-01T00:00:00Z`) + minutes * 60_000).toISOString().slice(0, -1);
    const metadata = { ...view.metadata, taken_at: takenAt };
    const id = `00000000-0000-7000-8000-${String(total - n).padStart(12, "0")}`;
    return { ...view, id, metadata, width: 600 + ((n * 37) % 17) * 60, height: 800 };
  };
  const list = (query) => {
    const isWithin = ({ month }) =>
      (!query.get("taken_after") || `${month}-01` >= query.get("taken_after")) &&
      (!query.get("taken_before") || `${month}-01` < query.get("taken_before"));
    const first = months.findIndex(isWithin);
    const last = months.findLastIndex(isWithin);
    const end = first < 0 ? 0 : starts[last] + months[last].images;
    let n = Number(query.get("cursor") ?? (first < 0 ? 0 : starts[first]));
    const items = [];
    for (; n < end && items.length < Number(query.get("limit")); n++) {
      const image = create(n);
      if (!deleted.has(image.id)) items.push(image);
    }
    return { items, next_cursor: n < end ? String(n) : null };
  };
  const timeline = () => {
    const left = months.map(({ month, images }) => ({ month, images }));
    for (const id of deleted) left[monthAt(total - Number(id.slice(-12)))].images -= 1;
    return { months: left.filter(({ images }) => images > 0), images: total - deleted.size };
  };

  await page.route("**/api/v1/images?*", async (route) => {
    view ??= (await (await route.fetch()).json()).items[0];
    const query = new URL(route.request().url()).searchParams;
    requests.push(query);
    await route.fulfill({ json: list(query) });
  });
  await page.route("**/api/v1/images/timeline", (route) => route.fulfill({ json: timeline() }));
  await page.route("**/api/v1/images/delete", async (route) => {
    const { ids } = route.request().postDataJSON();
    ids.forEach((id) => deleted.add(id));
    await route.fulfill({ json: { results: Object.fromEntries(ids.map((id) => [id, "deleted"])) } });
  });
  await page.route("**/api/v1/auth/me", async (route) => {
    const account = await (await route.fetch()).json();
    account.usage.images = total - deleted.size;
    await route.fulfill({ json: account });
  });
  return { requests, timeline };
}
