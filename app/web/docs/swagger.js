/** Shows the API in Swagger UI. */

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  // The validator is on another host.
  validatorUrl: "none",
});
