"""What Schemathesis is kept from sending: see SCHEMATHESIS_HOOKS in test_schemathesis.py."""

import requests
import schemathesis

# A head beyond the memory for a connection (12 KiB) is refused by the HTTP library alone, without a
# problem in JSON: docs/errors.md says so, and no document can.
LONGEST_ADDRESS = 10_000


@schemathesis.hook
def filter_case(context, case):
    del context
    given = case.as_transport_kwargs(base_url="http://127.0.0.1")
    asked = requests.Request(given["method"], given["url"], params=given.get("params"))
    return len(asked.prepare().url) <= LONGEST_ADDRESS
