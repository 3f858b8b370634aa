"""M9, the search executor: local documents, or the web if a provider is configured.

service (gRPC) · turns (of users) · provider (the interface of a source) · local, documents, index, text (files of this machine) · web (SearXNG, ddgs)
"""
