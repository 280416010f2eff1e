#!/bin/bash -eu
# Written by plainkube.cluster for kube-apiserver.service: runs before systemd stops the API server, the process $MAINPID. The argument is how many seconds
# a restart of etcd may take.
#
# An API server that has lost etcd does not stop: its requests wait for etcd, and so does its shutdown, until systemd's timeout. This happens if etcd is
# down, or if the host has another address now and etcd responds there. So it is killed: it could not answer any request.

responds() {
  local place=${1#https://}
  # shellcheck disable=SC2016 # $0 and $1 belong to the other bash
  timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "${place%:*}" "${place##*:}" 2>/dev/null
}

# systemd sets no MAINPID if the API server has ended by itself.
if [ -z "${MAINPID:-}" ]; then exit 0; fi
servers=$(tr '\0' '\n' <"/proc/$MAINPID/cmdline" | sed -n 's/^--etcd-servers=//p')
if [ -z "$servers" ]; then exit 0; fi
while true; do
  for server in ${servers//,/ }; do
    if responds "$server"; then exit 0; fi
  done
  if [ "$SECONDS" -ge "$1" ]; then break; fi
  sleep 0.5
done
echo "Killing kube-apiserver, because etcd does not respond at $servers."
kill -KILL "$MAINPID"
