/** Line icons, drawn on a 24 by 24 grid. */

const PATHS = {
  alert: "M12 8v5M12 16.5v.01M10.3 4.2 2.8 17.5A2 2 0 0 0 4.5 20.5h15a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0Z",
  barcode: "M4 6v12M7.5 6v12M10.5 6v9M13.5 6v12M16.5 6v9M20 6v12",
  camera:
    "M4 8h3.5L9 5.5h6L16.5 8H20a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V9a1 1 0 0 1 1-1ZM15.5 13a3.5 3.5 0 1 1-7 0 3.5 3.5 0 0 1 7 0Z",
  check: "m5 12.5 4.5 4.5L19 7.5",
  cross: "m6 6 12 12M18 6 6 18",
  down: "m6 9.5 6 6 6-6",
  download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 20h14",
  external: "M13 5h6v6M19 5l-8.5 8.5M10 6H6a1 1 0 0 0-1 1v11a1 1 0 0 0 1 1h11a1 1 0 0 0 1-1v-4",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  info: "M12 11v5.5M12 7.7v.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  left: "m14.5 5.5-6.5 6.5 6.5 6.5",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  minus: "M5 12h14",
  person: "M16 8.5a4 4 0 1 1-8 0 4 4 0 0 1 8 0ZM4.5 20c.8-3.7 3.8-5.5 7.5-5.5s6.7 1.8 7.5 5.5",
  plus: "M5 12h14M12 5v14",
  retry: "M20 12a8 8 0 1 1-2.5-5.8M20 3.5V8h-4.5",
  right: "m9.5 5.5 6.5 6.5-6.5 6.5",
  trash: "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12a1 1 0 0 0 1 1h7.4a1 1 0 0 0 1-1l.8-12M10.3 11v5M13.7 11v5",
  upload: "M12 15.5V4.5M7.5 9 12 4.5 16.5 9M5 20h14",
};
const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
