"""Certificates for a broker of tests: a good one and an expired one, and the authority that signed both."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """Files in one folder, all PEM."""

    #: The authority that signed the broker's certificates.
    authority: Path
    #: An authority that did not.
    other_authority: Path
    #: Key and certificate of a broker at 127.0.0.1.
    broker: Path
    #: The same, expired.
    expired: Path


def make_certificates(folder: Path) -> Certificates:
    """Make two authorities, and what the first one signs."""
    made = Certificates(*(folder / f"{name}.pem" for name in ("authority", "other", "broker", "expired")))
    key, authority = _authority(made.authority)
    _authority(made.other_authority)
    now = datetime.datetime.now(datetime.UTC)
    for path, begin, end in ((made.broker, now - _DAY, now + _DAY), (made.expired, now - 2 * _DAY, now - _DAY)):
        own = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = _builder("broker", own, authority.subject, begin, end).add_extension(names, critical=False)
        path.write_bytes(_key(own) + _pem(builder.sign(key, hashes.SHA256())))
    return made


def _authority(path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    builder = _builder(path.stem, key, _name(path.stem), now - 3 * _DAY, now + _DAY)
    made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
        key, hashes.SHA256()
    )
    path.write_bytes(_pem(made))
    return key, made


def _builder(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, begin: datetime.datetime, end: datetime.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, _name(name), key.public_key(), x509.random_serial_number())
    return builder.not_valid_before(begin).not_valid_after(end)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sparsewatch tests: {name}")])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key(key: ec.EllipticCurvePrivateKey) -> bytes:
    form, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, no_password)
