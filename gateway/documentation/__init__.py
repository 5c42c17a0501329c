"""The OpenAPI document and the page rendered from it."""
