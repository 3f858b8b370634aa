// Swagger UI on this gateway's own document; the token stays in the page until it is closed.
window.ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // the default sends the document to another host
  presets: [SwaggerUIBundle.presets.apis],
});
