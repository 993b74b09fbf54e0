// Runs before the first paint, and is no module: a chosen theme must not flash up as the other one first.
const chosenTheme = localStorage.getItem("pictures.theme");
if (chosenTheme) document.documentElement.dataset.theme = chosenTheme;

// Phones change networks in the middle of things. Where a part of the page is missing, nothing else could say so.
addEventListener(
  "error",
  ({ target }) => {
    if (target.tagName === "SCRIPT") document.getElementById("broken").hidden = false;
  },
  true,
);
