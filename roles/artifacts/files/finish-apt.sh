#!/bin/sh
# finish-apt.sh POLICY: repairs what a run leaves that was killed during apt: packages that are half configured, and the file POLICY (policy-rc.d), with
# which Ansible keeps services from starting. One with another content is the host's own.
set -eu
dpkg --configure -a || echo "apt will say what is wrong"
if printf '#!/bin/sh\nexit 101\n' | cmp -s - "$1"; then rm "$1"; fi
