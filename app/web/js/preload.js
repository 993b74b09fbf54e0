// Starts to load all modules of the first view at once: of the gallery, or of the welcome page.
const GALLERY = [
  "api.js",
  "events.js",
  "gallery/deletions.js",
  "gallery/grid.js",
  "gallery/layout.js",
  "gallery/library.js",
  "gallery/months.js",
  "gallery/page.js",
  "gallery/section_views.js",
  "gallery/selection.js",
  "gallery/selection_bar.js",
  "gallery/tile.js",
  "signed_in_app.js",
  "thumbhash.js",
  "ui/format.js",
  "ui/icons.js",
  "ui/stylesheets.js",
  "ui/toasts.js",
  "uploads/sources.js",
  "uploads/uploads.js",
];
const WELCOME = [
  "account/sign_in_form.js",
  "account/welcome.js",
  "ui/forms.js",
  "ui/icons.js",
];
for (const path of localStorage.getItem("pictures.session") ? GALLERY : WELCOME) {
  document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href: `web/js/${path}` }));
}
