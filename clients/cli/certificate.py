"""The certificate that a server makes for itself at its first start (`--tls self`).

Browsers give cameras to secure pages only. `localhost` is secure without one; for everything else a
page needs HTTPS, and a certificate of one's own costs each visitor one warning (docs/install.md says
how a school installs its own). It is made anew when it nears its end or the machine's addresses change.
"""

import datetime
import ipaddress
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import ifaddr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = datetime.timedelta(days=825)  # the longest that Apple's systems take
RENEWAL = datetime.timedelta(days=30)  # before the end
HOUR = datetime.timedelta(hours=1)  # clocks that are behind


class Files(NamedTuple):
    certificate: Path
    key: Path


def ensure(folder: Path, names: Iterable[str], now: datetime.datetime) -> Files:
    """The folder's certificate, made first if it is missing, ending, or lacks one of the names."""
    files = Files(folder / "certificate.pem", folder / "key.pem")
    wanted = set(names)
    if not _serves(files, wanted, now):
        folder.mkdir(parents=True, exist_ok=True)
        key, certificate = _make(sorted(wanted), now)
        _write(files.key, key, 0o600)
        _write(files.certificate, certificate, 0o644)
    return files


def local_names(announced: Iterable[str] = ()) -> list[str]:
    """Every name and address under which this machine may be opened."""
    names = {"localhost", "127.0.0.1", "::1", *announced}
    hostname = socket.gethostname()
    if hostname.isascii():
        names.add(hostname)
    return sorted(names | set(local_addresses()))


def local_addresses() -> list[str]:
    """Addresses of this machine's interfaces, loopback and link-local ones left out."""
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_address(text.split("%")[0])
            if not address.is_loopback and not address.is_link_local:
                found.append(str(address))
    return found


def _serves(files: Files, wanted: set[str], now: datetime.datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    except (OSError, ValueError):
        return False
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return False
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWAL:
        return False
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return False
    return {str(name.value) for name in extension.value} >= {_normal(name) for name in wanted}


def _make(names: list[str], now: datetime.datetime) -> tuple[bytes, bytes]:
    """Key and certificate in PEM. P-256, because its handshake costs a server least."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kelian")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now - HOUR + LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _normal(name: str) -> str:
    """As a certificate gives it back: addresses in their one spelling."""
    return str(_general_name(name).value)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all; the mode holds from the first byte on."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    part.replace(path)
