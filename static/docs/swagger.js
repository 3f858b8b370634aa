const wanted = location.hash.slice(1);
if (!wanted.startsWith('/')) history.replaceState(null, '', location.pathname + location.search); // Swagger UI treats any fragment as its own

// Swagger UI with this gateway's document; the token is kept until the page is closed.
window.ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // the default sends the document to another host
  presets: [SwaggerUIBundle.presets.apis],
  onComplete: () => showErrors(), // not earlier, because the errors go below the operations
});

/** The list of errors, with the anchors that the `type` of a problem refers to. */
async function showErrors() {
  const { 'x-errors': errors } = await (await fetch('/openapi.json')).json();
  const list = document.querySelector('.errors dl');
  for (const [code, { status, title, meaning }] of Object.entries(errors)) {
    const [term, told] = [document.createElement('dt'), document.createElement('dd')];
    term.id = code;
    term.textContent = `${code} · ${status}`;
    told.textContent = `${title}. ${meaning}`;
    list.append(term, told);
  }
  if (wanted in errors) location.hash = wanted;
}
