"""Whoever only asks the gateway loads nothing that draws papers."""

import subprocess
import sys

LOADED = """
import sys
import licensing.gateway, licensing.billing.invoices, licensing.statements
print(sorted({"reportlab", "lxml", "facturx", "pypdf", "anyascii"} & set(sys.modules)))
"""
# Factur-X's library sets up the logging of the whole process when it is loaded.
QUIET = """
import logging, sys
import licensing.papers.e_invoice, licensing.papers.hybrid, licensing.papers.statement_pdf, licensing.papers.tables
print(logging.getLogger().handlers, "facturx" in sys.modules)
"""


def printed(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_the_gateway_loads_no_library_for_papers():
    assert printed(LOADED) == "[]"


def test_the_modules_for_papers_leave_the_process_as_it_was():
    assert printed(QUIET) == "[] False"
