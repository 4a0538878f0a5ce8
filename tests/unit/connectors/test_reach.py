"""Where a connection may go, and what comes back: servers that lead elsewhere, drip, swell, or speak old TLS."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.connectors.test_quickbooks_http import get, say, serving
from tieout.connectors.http import Lost, Patience, Transport
from tieout.connectors.pinned import Barred, Unsent, looked_up
from tieout.connectors.quickbooks.oauth import app_of
from tieout.connectors.reach import Reach, place_of
from tieout.connectors.sage_x3 import open_sage_x3
from tieout.errors import ConfigError, NotServedError

PLACES = {
    "public": ["8.8.8.8", "2600::1", "::ffff:8.8.8.8", "64:ff9b::808:808"],
    "this machine": [
        *("127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::", "0.1.2.3", "::ffff:127.0.0.1", "::7f00:1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:0.0.0.0", "64:ff9b:1::7f00:1"),
    ],
    "private": [
        *("10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"),
        *("fec0::1", "2002:a00:1::", "2002:c0a8:101::1"),
    ],
    "link-local": ["169.254.1.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"],
    "metadata": ["fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "::ffff:168.63.129.16"],
    "reserved": ["224.0.0.1", "240.0.0.1", "255.255.255.255", "ff02::1", "203.0.113.9", "2001:db8::1"],
}


@pytest.mark.parametrize(("place", "address"), [(p, a) for p, found in PLACES.items() for a in found])
def test_an_address_is_told_whatever_it_is_wrapped_in(place, address):
    assert place_of(address) == place
    allowed = {
        on: Reach("x3", on).refusal("sage.example", address, encrypted=True) is None for on in (None, False, True)
    }
    assert allowed == {None: place == "public", False: place == "public", True: place in ("public", "private")}
    assert (Reach("x3", True).refusal("localhost", address, encrypted=False) is None) == (place == "this machine")
    assert (Reach("x3", True).refusal("sage.example", address, encrypted=False) is None) == (place == "private")


@given(st.ip_addresses(v=4))
def test_ipv4_is_the_same_in_each_of_its_ipv6_spellings(address):
    for spelled in (
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        str(ipaddress.IPv6Address((0x2002 << 112) | int(address) << 80)),
    ):
        assert place_of(spelled) == place_of(str(address))


@given(st.ip_addresses(v=6))
def test_every_address_has_its_place(address):
    assert place_of(str(address)) in PLACES


class Names:
    """A name server whose answers change with each question."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, host, port):
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_name_that_leads_inwards_is_refused_before_a_byte_is_sent():
    with serving(lambda h: say(h, 200)) as (url, seen):
        port = url.rpartition(":")[2]
        for inwards in (["127.0.0.1"], ["::1"], ["10.0.0.1"], ["169.254.169.254"], ["::ffff:127.0.0.1"]):
            transport = Transport(reach=Reach("books"), resolve=Names(inwards))
            with pytest.raises(Barred, match=f"connection books: api.example leads to {inwards[0]}, .* not spoken to"):
                get(transport, f"https://api.example:{port}/")
        assert seen == []


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::ffff:127.0.0.1]", "127.0.0.1.", "LOCALHOST."]
)
def test_a_spelling_of_this_machine_is_no_way_in(host):
    """The system's own resolver reads these as this machine; only the plain spelling in the settings means it."""
    with serving(lambda h: say(h, 200)) as (url, seen):
        port = url.rpartition(":")[2]
        with pytest.raises(ConfigError):
            get(Transport(), f"http://{host}:{port}/")
        with pytest.raises(Unsent):
            get(Transport(), f"https://{host}:{port}/")
        assert seen == []


def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked():
    """One question for a connection: a second answer, to this machine or another, is never heard."""
    with serving(lambda h: say(h, 200, b"yes")) as (url, seen):
        port = int(url.rpartition(":")[2])
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        assert get(Transport(resolve=names), f"http://localhost:{port}/").body == b"yes"
        assert names.asked == [("localhost", port)]
        # The other way about: what was good for the first connection is looked at again for the next.
        rebound = Names(["192.0.2.1"], ["127.0.0.1"])
        transport = Transport(reach=Reach("books"), resolve=rebound, connect_seconds=0.1)
        for _ in range(2):
            with pytest.raises(Barred):
                get(transport, f"https://api.example:{port}/")
        assert len(rebound.asked) == 2
        assert seen == ["/"]


def test_of_several_addresses_only_those_that_may_be_are_tried():
    with serving(lambda h: say(h, 200, b"yes")) as (url, _):
        port = url.rpartition(":")[2]
        names = Names(["10.0.0.1", "169.254.169.254", "127.0.0.1"])
        assert get(Transport(resolve=names), f"http://localhost:{port}/").body == b"yes"
    with pytest.raises(Unsent, match="refused"):
        get(Transport(resolve=lambda *_: ["10.0.0.1", "127.0.0.1"]), f"http://localhost:{port}/")


def test_a_refused_address_is_a_matter_of_settings_and_not_asked_again():
    asked = []

    def read():
        asked.append(1)
        return get(Transport(reach=Reach("x3", False), resolve=Names(["10.1.2.3"])), "https://sage.example:8124/")

    with pytest.raises(ConfigError, match=r"sage\.example leads to 10\.1\.2\.3, a private address") as told:
        Patience(sleep=lambda _: None)(read)
    assert told.value.hint.endswith("set on_premises = true in [connection.x3]")
    assert asked == [1]


def test_a_sign_in_is_not_sent_in_the_clear_over_the_internet():
    with pytest.raises(Barred, match="use https"):
        get(Transport(reach=Reach("x3", True), resolve=Names(["8.8.8.8"])), "http://sage.example:8124/")


def x3(url, **more):
    settings = {
        "url": url,
        "user": "U",
        "pool": "P",
        "company": "C",
        "currency": "EUR",
        "services": {"BPC": "WSBPC"},
        "known_customer": {"code": "A", "name": "B"},
    }
    return open_sage_x3(
        "x3", settings=settings | more, secrets={"password": "p"}, clock=lambda: datetime.now(UTC), sleep=lambda _: None
    )


def test_an_answer_that_redirects_is_told_as_such_and_not_followed():
    with serving(lambda h: say(h, 200)) as (elsewhere, followed):

        def lead(handler):
            say(handler, 307, Location=f"{elsewhere}/latest?token=hunter2")

        with serving(lead) as (url, _):
            answer = get(Transport(), url)
            assert answer.elsewhere == f"a redirect to {elsewhere[7:]}/latest (HTTP 307), which is not followed"
            given = {"client_id": "i", "discovery_url": f"{url}/openid"}
            with pytest.raises(ConfigError, match=r"a redirect to .* which is not followed") as told:
                app_of(given, {"client_secret": "s"}, Transport(), sign_in=True)
            assert told.value.hint == "check discovery_url"
        assert followed == []
    assert get_nothing(200, "").elsewhere == ""


def get_nothing(status, place):
    from tieout.connectors.http import Answer

    return Answer(status, {"Location": place}, b"")


def test_where_a_redirect_leads_steers_no_terminal_and_shows_no_password():
    said = get_nothing(302, "https://eve:hunter2@evil.example/\x1b[2J\r\nX: y").elsewhere
    assert said == "a redirect to evil.example/[2JX: y (HTTP 302), which is not followed"
    assert get_nothing(303, "").elsewhere == "a redirect (HTTP 303), which is not followed"
    assert get_nothing(304, "/x").elsewhere == ""


def test_sage_x3_says_that_its_host_redirects():
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Login(BaseHTTPRequestHandler):
        def do_POST(self):
            say(self, 302, Location="/auth/login/page")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Login)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        connector = x3(f"http://127.0.0.1:{server.server_address[1]}/soap")
        with pytest.raises(NotServedError, match=r"a redirect to /auth/login/page .*not followed") as told:
            connector.company()
        assert told.value.hint == "check `url`"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize("key", ["token_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize(
    "other",
    [
        "https://evil.example/token",
        "https://intuit.com.evil.example/",
        "https://evilintuit.com/",
        "http://127.0.0.1:1/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
    ],
)
def test_the_apps_secret_goes_nowhere_that_only_an_answer_names(key, other):
    ours = {}

    def tell(handler):
        import json

        say(
            handler,
            200,
            json.dumps(
                {"token_endpoint": f"{ours['url']}/t", "authorization_endpoint": f"{ours['url']}/a"} | {key: other}
            ).encode(),
        )

    with serving(tell) as (url, seen):
        ours["url"] = url
        settings = {"client_id": "i", "discovery_url": f"{url}/openid"}
        with pytest.raises(ConfigError, match=key):
            app_of(settings, {"client_secret": "s"}, Transport(), sign_in=True)
        assert seen == ["/openid"]


def test_intuits_own_hosts_and_the_host_of_the_document_itself_are_good():
    from tieout.connectors.reach import near

    assert near("https://oauth.platform.intuit.com/t", "https://developer.api.intuit.com/d", "intuit.com")
    assert near("http://127.0.0.1:8765/t", "http://127.0.0.1:8765/d", "intuit.com")
    assert not near("http://127.0.0.1:8766/t", "http://127.0.0.1:8765/d", "intuit.com")


def drip(head, piece, count=400):
    """A handler that sends its head, then the same piece over and over, slowly enough to never be late each time."""

    def speak(handler):
        with contextlib.suppress(OSError):
            handler.wfile.write(head)
            for _ in range(count):
                handler.wfile.write(piece)
                handler.wfile.flush()
                if done.wait(0.02):
                    return

    done = threading.Event()
    return speak, done


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
    ],
)
def test_an_answer_that_drips_is_given_up_when_its_time_is_over(head, piece):
    """A byte now and then kept each single wait short, and the whole went on for as long as the host liked."""
    speak, done = drip(head, piece)
    with serving(speak) as (url, _):
        began = time.monotonic()
        with pytest.raises(Lost, match="the answer took more than 0 s"):
            get(Transport(total_seconds=0.15, read_seconds=5), url)
        done.set()
        assert time.monotonic() - began < 3


def packed(layers=1, size=3_000_000):
    made = b"0" * size
    for _ in range(layers):
        made = gzip.compress(made)
    return made


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (packed(), "gzip", "unpacks to more than 200 times"),
        (packed(2), "gzip, gzip", "packed as gzip, gzip, which was not asked for"),
        (zlib.compress(b"0" * 100), "deflate", "packed as deflate"),
        (b"\x28\xb5\x2f\xfd", "zstd", "packed as zstd"),
        (b"no gzip", "gzip", "not the gzip"),
        (gzip.compress(b'{"a": 1}' * 100)[:-20], "gzip", "cut short"),
    ],
    ids=["bomb", "layers", "deflate", "zstd", "no gzip", "cut short"],  # else by the bytes, which hold the time
)
def test_what_an_answer_is_packed_in_is_no_way_to_swell(body, encoding, says):
    with serving(lambda h: say(h, 200, body, Content_Encoding=encoding)) as (url, _), pytest.raises(Lost, match=says):
        get(Transport(), url)


@given(st.lists(st.binary(max_size=200_000), max_size=3), st.integers(1, 70_000))
def test_what_is_packed_comes_out_whole(members, step):
    from tieout.connectors.http import _unpacked

    whole = b"".join(map(gzip.compress, members))
    pieces = [whole[i : i + step] for i in range(0, len(whole), step)]
    assert b"".join(_unpacked(pieces, "GZip")) == b"".join(members)


def test_a_large_ordinary_answer_comes_packed():
    rows = b'{"Id": "12345", "DocNumber": "INV-1", "TotalAmt": 100.00, "Balance": 0, "SyncToken": "0"},' * 20_000
    body = b"".join(rows[i : i + 90].replace(b"12345", b"%05d" % (i // 90)) for i in range(0, len(rows), 90))
    with serving(lambda h: say(h, 200, gzip.compress(body), Content_Encoding="gzip")) as (url, _):
        assert get(Transport(), url).body == body
    with serving(lambda h: say(h, 204, b"", Content_Encoding="gzip")) as (url, _):
        assert get(Transport(), url).body == b""


def test_answers_that_are_nested_without_end_are_refused():
    from tieout.connectors.quickbooks.oauth import _json
    from tieout.connectors.quickbooks.wire import decode

    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(ValueError, match="not JSON"):
        decode(deep)
    with serving(lambda h: say(h, 200, deep)) as (url, _):
        assert _json(get(Transport(), url)) == {}


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """(certificate, its key) of `localhost`, vouched for by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "own.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "own.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "own.pem", folder / "own.key"


@contextlib.contextmanager
def encrypted(identity, versions):
    """A server of one answer a connection, in TLS of these versions only; yields its port and what it read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    context.minimum_version, context.maximum_version = versions
    if versions[1] < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
    listening, heard = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as line:
                heard.append(line.recv(65536))
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], heard
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
OLD = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_host_is_who_its_certificate_says_or_nothing_is_sent(identity, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(identity[0]))
    monkeypatch.setenv("SSL_CERT_FILE", str(identity[0]))
    with encrypted(identity, NEW) as (port, heard):
        with pytest.raises(Unsent, match="certificate"):
            get(Transport(), f"https://localhost:{port}/")
        with pytest.raises(Unsent):  # vouched for, but for another name
            get(Transport(ca_file=str(identity[0])), f"https://127.0.0.1:{port}/")
        assert heard == []
        assert get(Transport(ca_file=str(identity[0])), f"https://localhost:{port}/").body == b"ok"
        assert heard[0].startswith(b"GET / ")
    with encrypted(identity, OLD) as (port, heard):
        with pytest.raises(Unsent):
            get(Transport(ca_file=str(identity[0])), f"https://localhost:{port}/")
        assert heard == []


def test_an_encrypted_answer_that_drips_ends_as_well(identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    done = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        plain, _ = listening.accept()
        with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as line:
            line.recv(65536)
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not done.wait(0.02):
                line.sendall(b"x")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listening, pytest.raises(Lost, match="took more"):
        get(Transport(total_seconds=0.3, ca_file=str(identity[0])), f"https://localhost:{listening.getsockname()[1]}/")
    done.set()
    thread.join(5)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_certificates_that_is_none_is_named(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"ca_file .*ca.pem: (No such file|holds no certificate)"):
        x3("https://localhost:1/", ca_file=file).company()


def test_the_systems_own_names_are_looked_up_once_for_each_address():
    found = looked_up("localhost", 80)
    assert found
    assert len(found) == len(set(found))
    assert {place_of(a) for a in found} == {"this machine"}
