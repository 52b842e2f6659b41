"""The JSON API: one module per noun, listed in `service.api.routers`."""
