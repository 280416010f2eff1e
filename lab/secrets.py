# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Key material of a cluster, and the places where it must not appear: output, process command lines, world-readable files, journals."""

from __future__ import annotations

import base64
import pathlib
import re
import typing as t

from cryptography.hazmat.primitives import serialization

from lab.base import LabError
from lab.lab import Lab

_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.+?)\n-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
# A key of an EncryptionConfiguration: 32 bytes.
_ENCRYPTION_KEY = re.compile(r"\bsecret:\s*[\"']?([A-Za-z0-9+/]{43}=)")
# A JSON Web Token, such as those of service accounts.
TOKEN = r"eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
PLACE = "/root/key-material"
# Read as an unprivileged user; larger files are programs. A file may disappear after it was listed (grep -s).
SEARCH = rf"""
cd {PLACE}
for process in /proc/[0-9]*; do
  # It may have ended after it was listed.
  if {{ tr '\0' '\n' < $process/cmdline; }} 2>/dev/null | grep -qFf needles; then
    echo "the command line of process ${{process#/proc/}}, $(cat $process/comm)"
  fi
done
anybody() {{
  setpriv --reuid=nobody --regid=nogroup --clear-groups \
    find /etc /home /opt /root /run /srv /tmp /usr/local /var -type f -size -8192k -readable -print0 2>/dev/null
}}
anybody | xargs -0 -r grep -slaFf needles | sed 's/$/, a file that anybody can read/'
anybody | xargs -0 -r grep -slaE '{TOKEN}' | sed 's/$/, a file with a token that anybody can read/'
journalctl --no-pager --output=cat --all | grep -qaFf needles && echo 'the journal'
true
"""


def key_lines(text: str) -> set[str]:
    """The lines of the private keys in a text, without those of the public key, which certificates also contain."""
    found = set()
    for block in _BLOCK.finditer(text):
        key = serialization.load_pem_private_key(block[0].encode(), None)
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        public = key.public_key().public_bytes(*form)
        found |= {line for line in block[1].split() if base64.b64decode(line) not in public}
    return found


def material(text: str) -> set[str]:
    """The key material in a configuration or key file."""
    return key_lines(text) | set(_ENCRYPTION_KEY.findall(text))


def encoded(needle: str) -> set[str]:
    """The needle, and its possible forms inside a base64 text, as in a kubeconfig or the result of module slurp."""
    found = {needle}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + needle.encode()).decode().rstrip("=")
        # The first and the last characters contain bits of adjacent bytes.
        found.add(text[-(-before * 8 // 6) : len(text) - 1])
    return found


def of_directory(path: pathlib.Path) -> set[str]:
    """All key material in the files below a directory of this machine, such as the CA directory."""
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in path.rglob("*") if file.is_file())
    return {needle for text in texts for needle in material(text)}


def of_host(lab: Lab, name: str) -> set[str]:
    """All key material of the cluster on a host."""
    places = "/etc/kubernetes /var/lib/kubelet/pki"
    script = f"find {places} -type f -size -64k -exec cat {{}} + 2>/dev/null; true"
    return material(lab.run(name, "sh", "-c", script)[1])


def found_in(text: str, needles: t.Iterable[str]) -> list[str]:
    """The needles and tokens in a text; truncated, so that a report does not reveal them."""
    every = {form for needle in needles for form in encoded(needle)}
    return sorted(
        {f"{one[:12]}…" for one in every if one in text} | {f"{one[:12]}…" for one in re.findall(TOKEN, text)}
    )


def found_on(lab: Lab, name: str, needles: t.Iterable[str]) -> list[str]:
    """Where on a host other users, or readers of the journal, find key material."""
    every = sorted({form for needle in needles for form in encoded(needle)})
    if not every:
        raise LabError("there is no key material to look for.")
    lab.put(name, PLACE, {"needles": ("\n".join(every).encode() + b"\n", 0o600)})
    code, output = lab.run(name, "sh", "-c", SEARCH)
    lab.run(name, "rm", "-r", PLACE)
    if code:
        raise LabError(f"looking for key material on {name} ended with {code}: {output}")
    return [f"{name}: {line}" for line in output.splitlines()]
