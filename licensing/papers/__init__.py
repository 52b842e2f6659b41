"""Invoices, statements and bank files: values in, bytes out; the same values always give the same bytes."""
