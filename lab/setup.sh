#!/bin/sh
# setup.sh DIRECTORY [PYTHON]: the virtual environment with all that the control node, the tests and the lab use.
# Can be stopped and run again; the collection is linked in, so that what runs is this checkout.
set -eu
venv=$1
started=$(date +%s)
say() { echo "setup: $*" >&2; }

usable() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; }

find_python() {
  pyenv=$(printf '%s\n' "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python | sort -rV)
  for candidate in ${2:-python3.14 python3.13 python3.12 python3 $pyenv}; do
    if usable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
}

python=$(find_python "$@")
if [ -z "$python" ] && [ $# -lt 2 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  say "packages python3 and python3-venv ..."
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends python3 python3-venv >/dev/null
  python=$(find_python "$@")
fi
if [ -z "$python" ]; then
  say "no Python 3.12 or newer with its venv module is here${2:+ at $2}: install one, or name it as in \`make PYTHON=/opt/python3.13/bin/python3 setup\`."
  exit 1
fi

say "$venv from $python, about a minute ..."
usable "$venv/bin/python" || "$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
mkdir -p "$venv/collections/ansible_collections/plainkube"
ln -sfn ../../../.. "$venv/collections/ansible_collections/plainkube/cluster"
say "$venv: $(($(date +%s) - started)) s"
