"""From a folder of works to an adapter with a report and a receipt. Runs from a shell without the service."""

import inference as inference  # says how threads wait, before a module here loads torch
