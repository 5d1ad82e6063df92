"""List the traps of the way to PVE, how each is closed, and which test sees it open.

``python -m tests.pve.traps`` takes each guard away and runs that test, which has to fail.
"""

from dataclasses import dataclass

from tests.breaking import Break

CLIENT = "tests/pve/test_client.py"
SIMULATED = "tests/pve/test_client_simulated.py"
TRAPS_FILE = "tests/pve/test_traps.py"
LOST = "test_a_lost_answer_is_ambiguous_for_a_mutation_and_transient_for_a_read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """A trap in words, the guards that close it, and the test that fails without them.

    Where several guards close the same trap, each alone suffices: all are taken away. Without
    any, the standard library closes it, and the test shows no more than that it does.
    """

    name: str
    guards: tuple[Break, ...]
    test: str


def _client(rule: str, instead: str) -> Break:
    return Break(module="qlop.pve.client", rule=rule, instead=instead)


def _tls(rule: str, instead: str) -> Break:
    return Break(module="qlop.pve.tls", rule=rule, instead=instead)


def _answer(rule: str, instead: str) -> Break:
    return Break(module="qlop.pve.answer", rule=rule, instead=instead)


_BY_ENVIRONMENT = _client("self.trust_env = False", "self.trust_env = True")
_OWN_TRUST = (
    _tls(
        "host, _ = super().build_connection_pool_key_attributes(request, True)\n"
        "        return host, {}",
        "return super().build_connection_pool_key_attributes(request, verify, cert)",
    ),
    _tls(
        "super().get_connection_with_tls_context(request, True)",
        "super().get_connection_with_tls_context(request, verify, proxies)",
    ),
    _tls('"""Leave all of it to the context."""', "super().cert_verify(conn, url, verify, cert)"),
)

TRAPS = (
    Trap(
        name="proxmoxer gives up after 5 s whatever was configured",
        guards=(_client("timeout=(min(CONNECT_TIMEOUT_S, left_s), left_s),", "timeout=5,"),),
        test=f"{TRAPS_FILE}::test_the_timeout_is_ours_and_not_proxmoxers",
    ),
    Trap(
        name="a read's timeout begins anew with every piece of the answer",
        guards=(_client("if time.monotonic() > self._deadline:", "if False:"),),
        test=f"{TRAPS_FILE}::test_an_answer_that_only_drips_ends_at_the_deadline",
    ),
    Trap(
        name="an answer without end fills the memory",
        guards=(_client("if length > BODY_BYTES_MAX:", "if False:"),),
        test=f"{TRAPS_FILE}::test_an_answer_that_is_too_long_is_not_read",
    ),
    Trap(
        name="a 401 comes after 3 s, and is an answer",
        guards=(
            _client(
                "left_s = max(0.1, self._deadline - time.monotonic())",
                "left_s = min(2.0, self._deadline - time.monotonic())",
            ),
        ),
        test=f"{SIMULATED}::test_a_wrong_token_is_denied",
    ),
    Trap(
        name="a body that is no JSON is passed on as data",
        guards=(
            _answer(
                'if document is None or "data" not in document:',
                "if document is None:\n        return answer.body.decode()\n    if False:",
            ),
        ),
        test=f"{CLIENT}::{LOST}",
    ),
    Trap(
        name="a proxy's page for people is taken for PVE's word",
        guards=(_answer("if answer.is_html:", "if False:"),),
        test=f"{CLIENT}::{LOST}",
    ),
    Trap(
        name="a redirection is followed, with the token",
        guards=(_client("allow_redirects=False", "allow_redirects=True"),),
        test=f"{TRAPS_FILE}::test_a_redirection_is_not_followed",
    ),
    Trap(
        name="a redirection is taken for success",
        guards=(_answer("if 300 <= answer.status < 400:", "if False:"),),
        test=f"{CLIENT}::{LOST}",
    ),
    Trap(
        name="parameters and answers are formatted for proxmoxer's log",
        guards=(_client("logging.getLogger(name).disabled = True", "pass"),),
        test=f"{CLIENT}::test_the_token_is_never_logged",
    ),
    Trap(
        name="REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE say whom to trust",
        guards=(_BY_ENVIRONMENT, *_OWN_TRUST),
        test=f"{TRAPS_FILE}::test_a_ca_bundle_in_the_environment_is_not_trusted",
    ),
    Trap(
        name="requests trusts the CAs that it brings along",
        guards=_OWN_TRUST,
        test=f"{TRAPS_FILE}::test_the_authorities_that_requests_brings_along_are_not_trusted",
    ),
    Trap(
        name="a proxy in the environment gets the calls",
        guards=(_BY_ENVIRONMENT, _OWN_TRUST[1]),
        test=f"{TRAPS_FILE}::test_a_proxy_in_the_environment_is_not_used",
    ),
    Trap(
        name="a pinned certificate is not looked at",
        guards=(_tls("if found not in pins:", "if False:"),),
        test=f"{CLIENT}::test_another_fingerprint_than_the_pinned_one_is_refused_and_both_are_told",
    ),
    Trap(
        name="importing proxmoxer switches urllib3's warnings off for everybody",
        guards=(_client("with warnings.catch_warnings():", "if True:"),),
        test=f"{TRAPS_FILE}::test_importing_the_client_leaves_warnings_as_they_are",
    ),
    Trap(
        name="a value with = ; & newline UTF-8 is cut where PVE splits",
        guards=(
            _client(
                "            data=data,\n            timeout",
                'data="&".join(f"{k}={v}" for k, v in data.items()).encode() if data else None,\n timeout',
            ),
        ),
        test=f"{CLIENT}::test_values_are_percent_encoded",
    ),
    Trap(
        name="Python's True is sent as a word that PVE refuses",
        guards=(_client("send(**_plain(call.params))", "send(**dict(call.params))"),),
        test=f"{CLIENT}::test_values_are_percent_encoded",
    ),
    Trap(
        name="a reason phrase in UTF-8 is read as Latin-1",
        guards=(_client("utf8_reason(response.reason)", "response.reason"),),
        test=f"{CLIENT}::test_what_pve_says_is_told",
    ),
    Trap(
        name="the reason phrase has but the first line of a message",
        guards=(_answer("return message.strip() if", "return reason if"),),
        test=f"{CLIENT}::test_what_pve_says_is_told",
    ),
    Trap(
        name="urllib3 repeats a PUT by itself",
        guards=(_tls("max_retries=0", "max_retries=3"),),
        test=f"{CLIENT}::{LOST}",
    ),
    Trap(
        name="a mutation that may have arrived goes to the next endpoint",
        guards=(
            _client(
                "if outcome.answered or (call.is_mutation and outcome.sent):",
                "if outcome.answered:",
            ),
        ),
        test=f"{CLIENT}::test_a_mutation_that_may_have_arrived_is_not_sent_to_another_endpoint",
    ),
    Trap(
        name="a mutation goes out on a kept connection that is just being closed",
        guards=(_client("self.adapter.forget_connections()", "pass"),),
        test=f"{CLIENT}::test_a_mutation_never_goes_out_on_a_kept_connection",
    ),
    Trap(
        name="Connection is said twice, close and Keep-Alive, and the connection is closed",
        guards=(),
        test=f"{TRAPS_FILE}::test_a_doubled_connection_header_costs_nothing",
    ),
    Trap(
        name="the port answers plain HTTP with a redirection to HTTPS, after the token was sent",
        guards=(
            Break(
                module="qlop.settings",
                rule='if parts.scheme != "https":',
                instead="if False:",
            ),
        ),
        test="tests/cli/test_settings_file.py",
    ),
)
