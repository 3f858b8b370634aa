"""M9, the search executor: local documents, and the web where a provider is configured.

service (gRPC) · provider (what a source of results is) · local, documents, index, text (files of this machine) · web (SearXNG, ddgs)
"""
