#!/bin/bash -eu
# Written by plainkube.cluster for keepalived: whether the API server of this host is ready. The balancer asks it every second anyway, and answers
# on the port of 127.0.0.1 that the argument names.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET /here HTTP/1.0\r\n\r\n' >&3
read -r -t 1 line <&3 && [[ $line == *' 200 '* ]]
