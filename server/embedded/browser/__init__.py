"""M7, the browser executor: Chromium driven by Playwright.

service (gRPC) · actions (what may be asked) · pages, tabs (who has which page) · gate (the proxy that keeps pages off private networks)
"""
