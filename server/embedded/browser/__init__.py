"""M7, the browser executor: Chromium driven by Playwright.

service (gRPC) · actions (what a page can do) · pointing (the element that is meant) · handling (clicks it and writes to it) · keys (what a key would activate) · launching (finds, starts and ends browsers) · driver (Playwright's process, and a folder for what browsers leave) · pages, tabs (a browser for each user, contexts and their pages) · signals (what Chromium tells of a page: that it leaves, opens a window, or was clicked) · departure (no page keeps its tab) · arrival (what is shown of a page that comes) · gate (a context's proxy, which blocks private networks) · lookups (its names) · reading (what is taken out of a page) · pipe (beside each Chromium: bounds its messages, memory and priority)
"""
