#!/bin/sh
# finish-apt.sh POLICY: cleans up after a run that was killed during apt: configures half-configured packages, and removes POLICY (policy-rc.d), with
# which Ansible keeps services from starting. A policy-rc.d with any other content is the host's own.
set -eu
dpkg --configure -a || echo "apt will report the problem"
if printf '#!/bin/sh\nexit 101\n' | cmp -s - "$1"; then rm "$1"; fi
