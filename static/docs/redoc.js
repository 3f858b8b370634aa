// ReDoc on this gateway's own document.
Redoc.init('/openapi.json', { disableSearch: false, hideDownloadButton: false }, document.getElementById('redoc'));
