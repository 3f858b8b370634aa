// ReDoc with this gateway's document.
Redoc.init('/openapi.json', { disableSearch: false, hideDownloadButton: false }, document.getElementById('redoc'));
