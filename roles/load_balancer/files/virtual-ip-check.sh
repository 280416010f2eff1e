#!/bin/bash -eu
# Written by plainkube.cluster for keepalived: checks whether the API server of this host is ready. The load balancer checks it every second anyway, and serves
# the result on 127.0.0.1, at the port in the argument.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET /here HTTP/1.0\r\n\r\n' >&3
read -r -t 1 line <&3 && [[ $line == *' 200 '* ]]
