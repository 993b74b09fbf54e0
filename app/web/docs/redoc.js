/** Shows the API in Redoc. */

Redoc.init("openapi.json", {}, document.getElementById("redoc"));
