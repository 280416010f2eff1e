#!/bin/bash -eu
# Written by plainkube.cluster for etcd.service: ends etcd, the process $MAINPID. The argument is the port of its metrics on 127.0.0.1.
#
# Told to stop, etcd closes its listeners, one after the other, and waits 7 s at each for its clients' watches to end, which never do. Whoever
# comes by another one is served meanwhile (embed/etcd.go, Close). So it is ended as soon as it has answered all else, which its metrics tell, or
# does not tell that any more; what it has acknowledged is on disk.

# Whether a connection is open as file descriptor 3 to etcd's metrics.
ask() {
  exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
}

# Whether the metrics that arrive have a request that is not answered. Watches are streams, and not unary.
busy() {
  local result=0
  # shellcheck disable=SC2016 # $NF is awk's
  timeout 7 awk '
    /^grpc_server_started_total.*unary/ { unanswered += $NF }
    /^grpc_server_handled_total.*unary/ { unanswered -= $NF }
    END { exit unanswered > 0 }
  ' <&3 || result=$?
  # Any other result: no metrics.
  [ "$result" = 1 ]
}

# systemd sets no MAINPID if etcd has ended by itself.
if [ -z "${MAINPID:-}" ] || ! kill "$MAINPID"; then exit 0; fi
while sleep 0.1 && kill -0 "$MAINPID"; do
  if ask "$1" && ! busy; then
    kill -KILL "$MAINPID" || true
    break
  fi
done 2>/dev/null
