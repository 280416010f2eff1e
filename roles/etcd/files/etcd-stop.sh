#!/bin/bash -eu
# Written by plainkube.cluster for etcd.service: stops etcd, the process $MAINPID. The argument is the port of its metrics on 127.0.0.1.
#
# On SIGTERM, etcd closes its listeners one by one, and waits 7 s at each for its clients' watches to end, which never do. Meanwhile, it still
# serves the clients of the other listeners (embed/etcd.go, Close). So it is killed once its metrics show that all other requests are answered, or
# once it serves no metrics any more. Everything that it has acknowledged is on disk.

# Opens a connection to etcd's metrics as file descriptor 3, and sends the request.
ask() {
  exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
}

# Whether the metrics show an unanswered request. Watches are streams, not unary calls.
busy() {
  local result=0
  # shellcheck disable=SC2016 # $NF belongs to awk
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
