// Applies the chosen theme before the first paint, so that the other theme does not flash. Modules run too late for that.
const chosenTheme = localStorage.getItem("pictures.theme");
if (chosenTheme) document.documentElement.dataset.theme = chosenTheme;

// Shows an error if a script cannot be loaded, for example because a phone has changed networks. The modules cannot do
// this themselves: none of them runs if one is missing.
addEventListener(
  "error",
  ({ target }) => {
    if (target.tagName === "SCRIPT") document.getElementById("load-error").hidden = false;
  },
  true,
);
