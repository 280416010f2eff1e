# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module artifacts."""

from __future__ import annotations

import concurrent.futures
import io
import os
import shutil
import stat
import tarfile
import threading
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _sums
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts._artifacts import (
    INCOMING,
    MANIFEST,
    STAGING,
    Piece,
    State,
    change,
    current_version,
    does_not_exist,
    locate,
    mirror_path,
    parse_manifest,
    pieces,
    pin,
    render_manifest,
    same_file,
    select,
    wrong_pins,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts._fetch import FetchError, absent, fetch, probe
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.network._proxy import Proxies, redact
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _lock, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

# The maximum duration of a download (_fetch).
LOCK_SECONDS = 3600
# Maximum size in bytes of a checksum file, or of GitHub's release document.
_LARGEST_SUMS = 16 << 20
# Parallel downloads.
_WORKERS = 4

# A survey downloads nothing.
SURVEY = {"state": "planned", "http_proxy": "", "https_proxy": "", "no_proxy": []}

SPEC: dict[str, t.Any] = {
    "artifacts": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "component": {"type": "str", "required": True},
            "version": {"type": "str", "default": ""},
            "url": {"type": "str", "required": True},
            "sums_url": {"type": "str", "required": True},
            "binaries": {"type": "dict", "default": {}},
            "bin_directory": {"type": "str", "default": ""},
            "kinds": {"type": "list", "elements": "str", "default": []},
            "setting": {"type": "str", "default": ""},
        },
    },
    "kinds": {"type": "list", "elements": "str", "default": []},
    "mirror": {"type": "str", "default": ""},
    "checksums": {"type": "dict", "default": {}},
    "known_checksums": {"type": "dict", "default": {}},
    "require_pins": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "staged", "planned"], "default": "present"},
    "root": {"type": "path", "default": _places.RELEASES},
    "bin_directory": {"type": "path", "default": _places.BINARIES},
    "packages": {"type": "list", "elements": "str", "default": []},
    "http_proxy": {"type": "str", "default": "", "no_log": True},
    "https_proxy": {"type": "str", "default": "", "no_log": True},
    "no_proxy": {"type": "list", "elements": "str", "default": []},
}
_BLOCK = 1 << 20


class ArtifactError(Exception):
    """Installation is not possible; the text is a sentence that says why and what to do."""


class Staged(t.NamedTuple):
    """A verified file that only has to be renamed into place."""

    path: str
    entry: dict[str, t.Any]  # its line in the manifest


# The existing files


def _manifest(directory: str) -> dict[str, dict[str, t.Any]]:
    try:
        with open(os.path.join(directory, MANIFEST), encoding="utf-8") as stream:
            return parse_manifest(stream.read())
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _file_state(piece: Piece, entry: dict[str, t.Any] | None, pinned: str) -> str:
    try:
        status = os.lstat(piece.path)
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    if entry is None or not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != piece.mode:
        return "damaged"
    if not same_file(entry, status) and _sums.of_file(piece.path) != entry.get("sha256"):
        return "damaged"
    return "unpinned" if pinned and entry.get("source_sha256") != pinned else "intact"


def inspect(piece: Piece, manifest: dict[str, dict[str, t.Any]], pinned: str, root: str) -> State:
    """The state of a piece on the host."""
    file = _file_state(piece, manifest.get(piece.name), pinned)
    if not piece.link or not os.path.lexists(piece.link):
        return State(file)
    target = os.readlink(piece.link) if os.path.islink(piece.link) else ""
    version = current_version(target, root)
    if version is None:
        raise ArtifactError(
            f"{piece.link} was not created by this collection and would be replaced: remove it, or its package."
        )
    return State(file, version, target == piece.path)


# Downloading and verifying


class Downloads:
    """Fetches files into the incoming directory, verifies them, and prepares them for installation."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.mirror = params["mirror"]
        self.own = params["own_checksums"]
        self.checksums = params["checksums"]
        self.require_pins = params["require_pins"]
        self.incoming = os.path.join(params["root"], INCOMING)
        self.proxies = Proxies(params["http_proxy"], params["https_proxy"], params["no_proxy"])

    def source(self, url: str) -> str:
        """The source of the file that upstream publishes at `url`."""
        found = locate(self.mirror, url)
        if not found:
            raise ArtifactError(f"{url} is only on mirrors: set artifacts_mirror, or artifacts_images to 'pull'.")
        return found

    def fetch(self, wanted: t.Sequence[Piece]) -> dict[Piece, Staged]:
        """Fetch and verify all missing pieces, in parallel, without installing any of them."""
        documents = self._documents(wanted)
        missing = [piece for piece in wanted if not self._is_there(piece, documents)]
        jobs = [(number, group, documents) for number, group in enumerate(_by_url(missing).values())]
        ready: dict[Piece, Staged] = {}
        for done in self._parallel(lambda job: self._download(*job), jobs):
            ready.update(done)
        return ready

    def check(self, wanted: t.Sequence[Piece]) -> None:
        """Check that all pieces could be fetched and verified, without fetching them."""
        documents = self._documents(wanted)
        for piece in wanted:
            self._expected(piece, documents)
        self._parallel(self._probe, [group[0] for group in _by_url(wanted).values()])

    def _documents(self, wanted: t.Sequence[Piece]) -> dict[str, str]:
        """The required published checksums, by URL."""
        for piece in wanted:
            self.source(piece.url)
        unpinned = {piece.sums_url: piece for piece in wanted if not pin(self.checksums, piece.url)}
        if unpinned and self.require_pins:
            urls = sorted({piece.url for piece in wanted if not pin(self.checksums, piece.url)})
            raise ArtifactError(
                f"artifacts_require_pins is true, and artifacts_checksums has no SHA-256 for {len(urls)} downloads, the first {urls[0]}: add them, from "
                "a source that you trust, or set artifacts_require_pins to false."
            )
        return dict(zip(unpinned, self._parallel(self._document, [*unpinned.values()])))

    def _is_there(self, piece: Piece, documents: dict[str, str]) -> bool:
        """Whether a piece is already staged, with the currently published checksum."""
        entry = _manifest(piece.directory).get(piece.name)
        return _file_state(piece, entry, self._expected(piece, documents)[0]) == "intact"

    def _probe(self, piece: Piece) -> None:
        self._reach(piece, piece.url, lambda source: probe(source, self.proxies))

    def _reach(self, piece: Piece, url: str, work: t.Callable[[str], t.Any]) -> t.Any:
        """The result of work on a source; a missing file means that the version is wrong."""
        source = self.source(url)
        try:
            return work(source)
        except FetchError as error:
            if isinstance(error.__cause__, Exception) and absent(error.__cause__):
                raise ArtifactError(does_not_exist(piece, source, self.mirror)) from error
            raise

    def _parallel(self, work: t.Callable[[t.Any], t.Any], items: t.Sequence[t.Any]) -> list[t.Any]:
        """The results of work for all items; after the first failure, no more are started."""
        failed = threading.Event()

        def begin(item: t.Any) -> t.Any:
            if failed.is_set():
                return None
            try:
                return work(item)
            except BaseException:
                failed.set()
                raise

        with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
            return list(pool.map(begin, items))

    def _document(self, piece: Piece) -> str:
        buffer = io.BytesIO()
        self._reach(piece, piece.sums_url, lambda source: fetch(source, buffer, self.proxies, largest=_LARGEST_SUMS))
        return buffer.getvalue().decode("utf-8", "replace")

    def _expected(self, piece: Piece, documents: dict[str, str]) -> tuple[str, str]:
        """The SHA-256 that a download must have, and its source."""
        pinned = pin(self.checksums, piece.url)
        if pinned:
            return pinned, "artifacts_checksums" if pin(self.own, piece.url) else "plainkube.cluster"
        where = self.source(piece.sums_url)
        found = _sums.find(documents[piece.sums_url], os.path.basename(piece.url))
        if not found:
            raise ArtifactError(
                f"{where} has no SHA-256 for {os.path.basename(piece.url)}: set it in artifacts_checksums, or check the mirror."
            )
        return found, where

    def _download(self, number: int, group: list[Piece], documents: dict[str, str]) -> dict[Piece, Staged]:
        source = self.source(group[0].url)
        expected, authority = self._expected(group[0], documents)
        path = os.path.join(self.incoming, str(number))
        with open(path, "w+b") as stream:
            found = self._reach(group[0], group[0].url, lambda source: fetch(source, stream, self.proxies))
        if found != expected:
            raise ArtifactError(
                f"{source} has the SHA-256 {found}, but {authority} says {expected}: nothing was replaced; check the mirror,"
                f" or set the right checksum in artifacts_checksums."
            )
        plain = {piece: path for piece in group if not piece.member}
        unpacked = self._unpack(source, path, [piece for piece in group if piece.member])
        origin = {"source": redact(source), "source_sha256": expected, "verified_by": redact(authority)}
        return {piece: _finish(piece, place, origin) for piece, place in {**plain, **unpacked}.items()}

    def _unpack(self, source: str, path: str, group: list[Piece]) -> dict[Piece, str]:
        """Extract the pieces from an archive, in one pass."""
        places: dict[Piece, str] = {}
        members = {piece.member: piece for piece in group}
        if members:
            # Stream mode reads a compressed archive once, instead of once to list and once to extract.
            with tarfile.open(path, mode="r|*") as archive:
                for info in archive:
                    piece = members.pop(os.path.normpath(info.name), None) if info.isfile() else None
                    content = archive.extractfile(info) if piece else None
                    if piece and content:
                        places[piece] = f"{path}-{piece.name}"
                        with open(places[piece], "wb") as stream:
                            shutil.copyfileobj(content, stream, _BLOCK)
            os.unlink(path)
        if members:
            raise ArtifactError(
                f"{source} does not contain {', '.join(sorted(members))}: check that it is the right download."
            )
        return places


def _by_url(wanted: t.Sequence[Piece]) -> dict[str, list[Piece]]:
    groups: dict[str, list[Piece]] = {}
    for piece in wanted:
        groups.setdefault(piece.url, []).append(piece)
    return groups


def _finish(piece: Piece, path: str, origin: dict[str, str]) -> Staged:
    """Set the mode of a complete file, flush it to disk, and create its manifest entry."""
    checksum = _sums.of_file(path) if piece.member else origin["source_sha256"]
    with open(path, "rb") as stream:
        os.fchmod(stream.fileno(), piece.mode)
        os.fsync(stream.fileno())
        status = os.fstat(stream.fileno())
    entry = {"sha256": checksum, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    return Staged(path, {**entry, "url": piece.url, **origin})


# Installation


def _sync(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def place(staged: dict[Piece, Staged]) -> None:
    """Rename verified files to their final paths, and record them in the manifest."""
    by_directory: dict[str, dict[Piece, Staged]] = {}
    for piece, ready in staged.items():
        by_directory.setdefault(piece.directory, {})[piece] = ready
    for directory, group in by_directory.items():
        os.makedirs(directory, mode=0o755, exist_ok=True)
        files = {**_manifest(directory), **{piece.name: ready.entry for piece, ready in group.items()}}
        for piece, ready in group.items():
            os.rename(ready.path, piece.path)
        temporary = os.path.join(directory, f"{MANIFEST}.new")
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(render_manifest(files))
            os.fchmod(stream.fileno(), 0o644)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, os.path.join(directory, MANIFEST))
        _sync(directory)


def flip(links: t.Sequence[Piece]) -> None:
    """Make the pieces current, each atomically."""
    for piece in links:
        directory = os.path.dirname(piece.link)
        os.makedirs(directory, mode=0o755, exist_ok=True)
        temporary = os.path.join(directory, f".plainkube-{piece.name}")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(piece.path, temporary)
        os.rename(temporary, piece.link)
    for directory in sorted({os.path.dirname(piece.link) for piece in links}):
        _sync(directory)


def stage(params: dict[str, t.Any], wanted: t.Sequence[Piece]) -> None:
    """Stage all these pieces, verified."""
    downloads = Downloads(params)
    # The same name for all runs, which the lock serializes: the next run removes the remains of a killed one.
    shutil.rmtree(downloads.incoming, ignore_errors=True)
    os.makedirs(downloads.incoming)
    try:
        place(downloads.fetch([piece.waiting(params["root"]) for piece in wanted]))
    finally:
        shutil.rmtree(downloads.incoming, ignore_errors=True)


def staged(params: dict[str, t.Any], wanted: t.Sequence[Piece]) -> dict[Piece, Staged]:
    """The staged pieces."""
    found = {}
    for piece in wanted:
        waiting = piece.waiting(params["root"])
        entry = _manifest(waiting.directory).get(piece.name)
        if entry and _file_state(waiting, entry, pin(params["checksums"], piece.url)) == "intact":
            found[piece] = Staged(waiting.path, entry)
    return found


def install(params: dict[str, t.Any], states: dict[Piece, State]) -> None:
    """Install the missing pieces and make them current, once all of them are present and verified."""
    absent_pieces = not_intact(states)
    if len(staged(params, absent_pieces)) < len(absent_pieces):
        stage(params, absent_pieces)
    place(staged(params, absent_pieces))
    shutil.rmtree(os.path.join(params["root"], STAGING), ignore_errors=True)
    flip([piece for piece, state in states.items() if piece.link and not state.linked])


def not_intact(states: dict[Piece, State]) -> list[Piece]:
    return [piece for piece, state in states.items() if state.file != "intact"]


def act(params: dict[str, t.Any], todo: dict[Piece, State], check_mode: bool) -> None:
    """Establish the desired state; in check mode, check whether that is possible."""
    wanted = not_intact(todo)
    if params["state"] == "staged" and check_mode:
        Downloads(params).check(wanted)
    elif params["state"] == "staged" and wanted:
        stage(params, wanted)
    elif params["state"] == "staged":
        # The remains of a run for other versions.
        shutil.rmtree(os.path.join(params["root"], STAGING), ignore_errors=True)
    elif params["state"] == "present" and todo and not check_mode:
        install(params, todo)


def missing(params: dict[str, t.Any], states: dict[Piece, State]) -> list[str]:
    """Paths on a mirror of the required downloads."""
    wanted = not_intact(states)
    sums = [piece.sums_url for piece in wanted if not pin(params["checksums"], piece.url)]
    return sorted({mirror_path(url) for url in [*(piece.url for piece in wanted), *sums]})


def missing_packages(module: AnsibleModule) -> list[str]:
    """The first alternative of each required package that is not installed."""
    wanted = module.params["packages"]
    if not wanted:
        return []
    names = [name for alternatives in wanted for name in alternatives.split("|")]
    # It fails if a name is unknown, but still prints the others.
    command = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names]
    out = _command.run(module, command)[1]
    installed = {line.split()[0] for line in out.splitlines() if line.endswith(" installed")}
    return [alternatives.split("|")[0] for alternatives in wanted if not installed & set(alternatives.split("|"))]


class Inspection(t.NamedTuple):
    """The missing pieces, and the remains of another run."""

    todo: dict[Piece, State]
    leftovers: list[Action]


def inspect_host(params: dict[str, t.Any], wanted: t.Sequence[Piece]) -> Inspection:
    manifests = {directory: _manifest(directory) for directory in {piece.directory for piece in wanted}}
    states = {
        piece: inspect(piece, manifests[piece.directory], pin(params["checksums"], piece.url), params["root"])
        for piece in wanted
    }
    todo = {piece: state for piece, state in states.items() if not state.ok(piece)}
    staging = os.path.join(params["root"], STAGING)
    stale = not todo and os.path.isdir(staging)
    leftovers = [Action("wait", staging, "left by a run for other versions")] if stale else []
    return Inspection(todo, leftovers)


def act_alone(params: dict[str, t.Any], wanted: t.Sequence[Piece]) -> Inspection:
    """Apply the changes under a lock, so that the installed files are the verified ones. Inspects again, because another run may have
    applied them in the meantime."""
    # Services run the binaries as unprivileged users, whatever root's umask is.
    os.umask(0o022)
    os.makedirs(params["root"], mode=0o755, exist_ok=True)
    try:
        with _lock.held(params["root"], LOCK_SECONDS):
            found = inspect_host(params, wanted)
            act(params, found.todo, check_mode=False)
    except _lock.BusyError:
        raise ArtifactError(
            f"Another run has been installing under {params['root']} for {LOCK_SECONDS} seconds: wait until it ends, then run this again."
        ) from None
    return found


def warn_of_mirror(module: AnsibleModule, params: dict[str, t.Any], todo: dict[Piece, State]) -> None:
    """A mirror without TLS provides both a download and its checksum."""
    unpinned = [piece for piece in todo if todo[piece].file != "intact" and not pin(params["checksums"], piece.url)]
    if params["mirror"].startswith("http://") and unpinned:
        module.warn(
            f"artifacts_mirror is {redact(params['mirror'])}: without https, anyone on the network path can replace downloads that have no SHA-256 in "
            "artifacts_checksums. Use https, or add their checksums."
        )


def compare(module: AnsibleModule) -> dict[str, t.Any]:
    own = module.params["checksums"]
    params = {**module.params, "own_checksums": own, "checksums": {**module.params["known_checksums"], **own}}
    for name in wrong_pins(params["checksums"]):
        raise ArtifactError(
            f"artifacts_checksums has '{params['checksums'][name]}' for {name}: set a SHA-256, 64 hexadecimal digits."
        )
    wanted = pieces(select(params["artifacts"], params["kinds"]), params["root"], params["bin_directory"])
    found = inspect_host(params, wanted)
    if params["state"] == "staged":
        warn_of_mirror(module, params, found.todo)
    if params["state"] != "planned" and (found.todo or found.leftovers):
        if module.check_mode:
            act(params, found.todo, check_mode=True)
        else:
            found = act_alone(params, wanted)
    changes = [change(piece, state) for piece, state in found.todo.items()]
    present = params["state"] == "present"
    packages = missing_packages(module)
    actions = [Action("install", text) for text in changes]
    actions += [Action("install", f"packages {', '.join(packages)}")] if packages else []
    return {
        # Later tasks of the role install the staged or planned files, and the packages.
        "changed": bool(changes) and present,
        "actions": _actions.listed([*actions, *found.leftovers]),
        "replaced": [piece.used_path for piece in found.todo],
        "missing": missing(params, found.todo),
        "missing_packages": packages,
        "diff": {"prepared": "".join(f"{line}\n" for line in changes) if present else ""},
    }


def run(module: AnsibleModule) -> dict[str, t.Any]:
    try:
        return compare(module)
    except (ArtifactError, FetchError) as error:
        return module.fail_json(msg=str(error))
    except tarfile.TarError as error:
        return module.fail_json(msg=f"A downloaded archive is corrupt although its SHA-256 is right: {error}.")
    except OSError as error:
        return module.fail_json(
            msg=f"Installing under {module.params['root']} failed: {error}; free space, or check the file system."
        )


def main() -> None:
    _run.main(SPEC, run)
